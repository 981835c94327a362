//! Indicators turn a series of prices into one number a bar. Incremental: each update costs the same, however long the window.
