"""Several processes that serve as one: a supervisor with its workers, and the handing over to a new program."""
