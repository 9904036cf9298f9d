"""Who calls, and who may: names, the authenticated key, authorized_keys, enrolment."""
