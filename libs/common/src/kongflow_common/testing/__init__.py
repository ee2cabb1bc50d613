"""What tests of every context use: real servers, and few fakes."""
