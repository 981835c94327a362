//! Fault plans: any text is refused with a sentence, or is a plan that says the same when it is written and read again.
#![no_main]

use alphaengine_sim::faults::FaultPlan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match FaultPlan::parse(text) {
        Ok(plan) => {
            let written = serde_json::to_string(&plan).unwrap_or_default();
            let again = FaultPlan::parse(&written);
            assert!(again.as_ref().is_ok_and(|again| *again == plan), "{written} is read as {again:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
