//! The Course of an operation: how far it gets, and what it says.

use alphaengine_sim::faults::{DiskOp, Fault};

use super::Failure;

/// What becomes of an operation that was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    Well,
    /// A half of it is done, then it fails.
    Half,
    /// It says that it is done.
    Lie,
    /// It is done and says that it is not.
    DoneButFails,
    /// The process ends in the middle of it.
    Ends,
}

impl Course {
    /// What a fault makes of an operation, or why it fails and changes nothing; `None` where such an operation cannot have it.
    pub fn under(fault: &Fault, op: DiskOp) -> Option<Result<Course, Failure>> {
        fault.can_strike(op).then_some(match fault {
            Fault::Busy => Err(Failure::Busy),
            Fault::Full => Err(Failure::Full),
            Fault::ShortWrite => Ok(Course::Half),
            Fault::LyingSync => Ok(Course::Lie),
            Fault::ErrsButDurable => Ok(Course::DoneButFails),
            Fault::Crash { .. } | Fault::PowerLoss { .. } => Ok(Course::Ends),
            _ => Err(Failure::Io),
        })
    }

    pub fn ended(self) -> Result<(), Failure> {
        match self {
            Course::Well | Course::Lie => Ok(()),
            Course::Half | Course::DoneButFails | Course::Ends => Err(Failure::Io),
        }
    }
}
