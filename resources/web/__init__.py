"""Reading the web politely and safely: which addresses, how fast, how much. What is asked for is decided in `resources/channels`."""
