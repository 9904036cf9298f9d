"""Who calls, and who may log in: names, the authenticated key, authorized_keys, invitations and enrolment."""
