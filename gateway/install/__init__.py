"""`enc-gateway setup`: make this host a gateway, and undo that.

`plan` lists what belongs on the host, as items. `items` and `files` have the kinds of items. `dropin` is the item that
lets people log in, so it is last. `setup` applies or removes the items. Each item can show its changes without making
them.
"""
