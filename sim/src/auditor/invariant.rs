//! An Invariant is a law that a run must keep; a Violation is where one was broken, in a sentence.

use alphaengine_core::units::Timestamp;

macro_rules! invariants {
    ($($name:ident $code:literal $law:literal)*) => {
        /// The laws of the fault campaign, in the order of their numbers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Invariant {
            $(#[doc = $law] $name,)*
        }

        impl Invariant {
            pub const ALL: [Invariant; 27] = [$(Invariant::$name,)*];

            /// `I7`.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Invariant::$name => $code,)*
                }
            }

            /// The law in one sentence.
            pub const fn law(self) -> &'static str {
                match self {
                    $(Invariant::$name => $law,)*
                }
            }
        }
    };
}

invariants! {
    I1 "I1" "The exchange has at most one order for each intent."
    I2 "I2" "No request leaves before its intent is durable."
    I3 "I3" "An order of unknown outcome is not sent again, and not believed absent, before a question proves it absent that was asked after the receive window."
    I4 "I4" "A client order id is never given to a second order, across restarts too."
    I5 "I5" "The fills in the log are the fills at the exchange."
    I6 "I6" "Each fill is applied exactly once to position and ledger."
    I7 "I7" "The fills of an order sum to its cumulative quantity, which never falls and never exceeds its size."
    I8 "I8" "The position that the log adds up to is the position at the exchange."
    I9 "I9" "The wallet that the log adds up to is the wallet at the exchange, to the last unit."
    I10 "I10" "The ledger sums to zero in every asset, and each of its accounts is the sum of its events."
    I11 "I11" "An order ends when the exchange says so, and what has ended stays so."
    I12 "I12" "Replaying the log gives the state that the process had before it ended."
    I13 "I13" "A checkpoint and the events after it give what a full replay gives."
    I14 "I14" "The log has no gap, its hash chain holds and its head mark is not ahead of it."
    I15 "I15" "Every acknowledged event survives as it was written."
    I16 "I16" "An append that failed is wholly in the log or not at all."
    I17 "I17" "Position, open, unknown and in-flight orders together stay within the limits."
    I18 "I18" "What may only reduce a position never turns it."
    I19 "I19" "Weight and orders stay within the limits as the exchange counts, and nothing is sent during a ban or before a stated retry time."
    I20 "I20" "Cancels and closes leave although the budget of other requests is used up."
    I21 "I21" "Nothing opens while a stream is stale, the account is not compared or the engine only lets through what closes."
    I22 "I22" "Soon after the last fault no order is unknown, every stream delivers and the account is compared."
    I23 "I23" "Signing times lie inside the receive window, and time never goes back."
    I24 "I24" "The strategy hears nothing that has not happened."
    I25 "I25" "A log has one writer; a second instance stops."
    I26 "I26" "While the storage is not trusted nothing opens."
    I27 "I27" "The same seed gives the same run, in another process too."
}

impl std::fmt::Display for Invariant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.code())
    }
}

/// A broken law.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub invariant: Invariant,
    /// Virtual time.
    pub at: Timestamp,
    /// The step of the run.
    pub step: u64,
    /// What was seen, with the names and numbers that show it.
    pub sentence: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Violation { invariant, at, step, sentence } = self;
        write!(f, "{invariant} at {at}, step {step}: {sentence}")
    }
}
