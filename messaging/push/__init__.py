"""Web Push: tells the browsers of users who have no connection anywhere.

    keys      the server's own key, and how it says who it is (RFC 8292, VAPID)
    payload   what is pushed (pure)
    mail      one letter after the other to push services, within bounds
    pusher    for whom, and where to

Nothing waits for any of it, and nothing of it is kept: what a crash loses is found in the list of
notifications and in the conversations. pywebpush, which encrypts, is needed only here, and imported when a
letter is written.
"""
