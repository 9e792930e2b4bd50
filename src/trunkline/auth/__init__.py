"""Who may log in: SCRAM, md5, certificates and the userlist as decisions, with no transport."""
