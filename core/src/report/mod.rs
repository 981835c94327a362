//! A Report is what a run came to: statistics of the equity, the round trips and the execution.
