"""Making this host a gateway, and taking that back: `enc-gateway setup`.

`plan` says what belongs on the host, as items; `items` and `files` are the kinds of them; `dropin` is the one that
opens the door, hence last; `setup` applies them. Every item can be looked at without being touched.
"""
