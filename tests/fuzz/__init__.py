"""Any bytes, any messages: what is fed to the code, and what has to hold whatever it is."""
