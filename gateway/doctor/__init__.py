"""Is this host fit for a gateway? A module a topic; each looks, changes nothing, and names the fix.

Checks go by what the gateway's account may do, so root asks as that account. What only root can see (sshd's own
configuration) is left out for others, with a word about it.
"""
