"""Backplanes carry between processes: one file per kind, behind `service.ports` Bus, Presence, RateLimits."""
