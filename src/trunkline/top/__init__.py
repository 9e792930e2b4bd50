"""`trunkline top`: what the console shows, as a live view in a terminal."""
