//! The reader's files that read CSV.

#[path = "../../datasets/src/read/csv.rs"]
pub mod csv;
#[path = "../../datasets/src/read/input.rs"]
pub mod input;
#[path = "../../datasets/src/read/layout.rs"]
pub mod layout;
#[path = "../../datasets/src/read/rows.rs"]
pub mod rows;
#[path = "../../datasets/src/read/value.rs"]
pub mod value;

pub type Known<T> = Result<T, crate::Error>;
