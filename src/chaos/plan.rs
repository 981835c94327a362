//! Plans of a campaign: drawn from a seed, or one for all of them.

use alphaengine_chaos::Scenario;
use alphaengine_core::units::Nanos;
use alphaengine_sim::faults::{FaultPlan, Knobs, draw};

/// Where plans come from.
#[derive(Debug, Clone)]
pub enum Plans {
    /// The same for every seed.
    One(FaultPlan),
    /// From the seed, of these families; empty is all.
    Drawn { families: Vec<&'static str>, length: Nanos },
}

impl Plans {
    /// What goes wrong in the run of a seed.
    pub fn of(&self, seed: u64, scenario: &Scenario) -> FaultPlan {
        match self {
            Plans::One(plan) => plan.clone(),
            Plans::Drawn { families, length } => {
                let symbols =
                    scenario.instruments.iter().map(|(_, instrument)| instrument.symbol.to_string()).collect();
                let knobs = Knobs {
                    families: families.clone(),
                    length: *length,
                    symbols,
                    steps: steps(scenario),
                    cash: scenario.sim.cash,
                };
                draw(seed, &knobs)
            }
        }
    }
}

/// About how many things a bot hears in this scenario: what the market says, answers, and the account.
fn steps(scenario: &Scenario) -> u64 {
    100 + 4 * scenario.market.len() as u64
}

/// The plan with each entry's kind behind its name, so that both are counted when it comes to pass: `F4 drop_answer`.
pub fn labelled(plan: &FaultPlan) -> FaultPlan {
    let mut plan = plan.clone();
    for planned in &mut plan.0 {
        let name = planned.name.as_deref().unwrap_or("").trim();
        planned.name = Some(format!("{name} {}", planned.fault.kind()).trim().to_owned());
    }
    plan
}

/// A name and a kind as [`labelled`] joins them; the name is empty where there was none.
pub fn split_label(label: &str) -> (&str, &str) {
    label.rsplit_once(' ').unwrap_or(("", label))
}
