"""The `runbus` command. One file a group of commands; every file only parses, calls and prints."""
