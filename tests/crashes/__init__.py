"""What a crash, a full disk or a second saver may leave behind, and how to make it."""
