"""Directory trees of any depth, walked by descriptors: whole paths end at 4,096 bytes, and recursion ends earlier."""
