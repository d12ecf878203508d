"""Who people are, as far as that was looked up a moment ago."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from messaging.domain.ids import SYSTEM_USER
from messaging.domain.models import SYSTEM, Profile
from messaging.service.ports import Store
from messaging.service.recent import Recent

PROFILE_SECONDS = 10.0


class People:
    """Profiles as of at most ten seconds ago."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._profiles: Recent[str, Profile] = Recent(50_000, PROFILE_SECONDS)

    async def find(self, user_ids: Collection[str]) -> Mapping[str, Profile]:
        """A profile for each id; one that says no more than the id for users who are gone."""
        found = {SYSTEM_USER: SYSTEM}
        missing = []
        for user_id in user_ids:
            profile = self._profiles.get(user_id)
            if profile is not None:
                found[user_id] = profile
            elif user_id not in found:
                missing.append(user_id)
        if missing:
            found |= await self._load(missing)
        return found

    async def known(self, user_id: str) -> Profile | None:
        """The profile of a user who exists."""
        profile = self._profiles.get(user_id)
        if profile is None:
            user = (await self._store.users([user_id])).get(user_id)
            profile = user.profile if user else None
        if profile is not None:
            self.note(profile)
        return profile

    def recent(self, user_id: str) -> Profile | None:
        """The profile, if it was looked up a moment ago."""
        return self._profiles.get(user_id)

    def forget(self, user_id: str) -> None:
        """The user is gone."""
        self._profiles.forget(user_id)

    def note(self, profile: Profile) -> None:
        """This is the user's profile now."""
        self._profiles.put(profile.id, profile)

    async def _load(self, user_ids: list[str]) -> dict[str, Profile]:
        users = await self._store.users(user_ids)
        for user in users.values():
            self.note(user.profile)
        return {i: users[i].profile if i in users else Profile(id=i) for i in user_ids}
