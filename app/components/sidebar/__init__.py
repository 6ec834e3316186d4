"""The sidebar: conversations, search, folders, trash, and the way to the other screens."""
