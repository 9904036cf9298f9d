"""The ways to unlock a vault: slots as they are stored and changed, SSH signatures, challenges, recovery codes."""
