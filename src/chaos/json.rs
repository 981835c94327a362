//! What a campaign came to, for a program. Decimals are text, as everywhere in the house.

use alphaengine_sim::auditor::Invariant;
use alphaengine_sim::faults::families;
use serde_json::{Map, Value, json};

use super::effect::{FIGURES, Figures, Spread, Unit};
use super::report::{Failure, Report};
use super::tally::Tally;

pub fn report(report: &Report) -> Value {
    let (tally, header) = (&report.tally, &report.header);
    let params: Map<String, Value> =
        header.params.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
    json!({
        "strategy": header.strategy,
        "params": params,
        "symbols": header.symbols,
        "timeframe": header.timeframe,
        "data": if header.is_synthetic { "SYNTHETIC" } else { "files" },
        "mode": "CHAOS",
        "first_seed": header.first_seed,
        "seeds": tally.seeds,
        "length": super::text::span(header.length),
        "jobs": header.jobs,
        "runs": report.runs(),
        "steps": tally.steps,
        "simulated_hours": decimal(report.simulated_hours()),
        "wall_s": decimal(report.wall.as_secs_f64()),
        "seeds_per_s": decimal(report.seeds_per_second()),
        "faults": faults(tally),
        "laws": laws(tally),
        "violating_seeds": tally.broken,
        "doubled_seeds": tally.doubled,
        "trace_mismatches": tally.mismatches,
        "pairs": tally.pairs(),
        "effects": effects(tally),
        "violations": report.failures.iter().map(failure).collect::<Vec<_>>(),
        "notes": header.notes,
    })
}

fn decimal(value: f64) -> Value {
    Value::String(format!("{}", (value * 1e6).round() / 1e6))
}

fn faults(tally: &Tally) -> Value {
    let rows = tally.fired.iter().map(|((name, kind), fired)| {
        let about = families().iter().find(|family| family.code == name.as_str()).map(|family| family.about);
        let name = (!name.is_empty()).then_some(name);
        json!({"family": name, "kind": kind, "fired": fired, "about": about})
    });
    rows.collect()
}

fn laws(tally: &Tally) -> Value {
    let place = |code: &str| Invariant::ALL.iter().position(|invariant| invariant.code() == code);
    let mut laws: Vec<(&String, &super::tally::Law)> = tally.laws.iter().collect();
    // What is no law of the auditor's, a process that died, comes last.
    laws.sort_by_key(|(code, _)| place(code).unwrap_or(usize::MAX));
    let row = |(code, law): (&String, &super::tally::Law)| {
        let about = place(code).map(|place| Invariant::ALL[place].law());
        json!({"law": code, "checked": law.checks, "broken": law.violations, "about": about})
    };
    laws.into_iter().map(row).collect()
}

fn effects(tally: &Tally) -> Value {
    let rows = FIGURES.iter().zip(tally.effects()).zip(tally.mean_differences());
    let object = rows.map(|((figure, [free, with, difference]), mean)| {
        let mut difference = spread(figure.unit, difference);
        if let (Value::Object(fields), Some(mean)) = (&mut difference, mean) {
            fields.insert("mean".into(), figure.unit.json(mean));
        }
        let value = json!({
            "fault_free": spread(figure.unit, free),
            "with_faults": spread(figure.unit, with),
            "difference": difference,
        });
        (figure.key.to_owned(), value)
    });
    Value::Object(object.collect())
}

fn spread(unit: Unit, spread: Option<Spread>) -> Value {
    let Some(spread) = spread else { return Value::Null };
    json!({
        "p5": unit.json(spread.p5),
        "median": unit.json(spread.median),
        "p95": unit.json(spread.p95),
        "worst": unit.json(spread.worst),
    })
}

/// The figures of one run.
pub fn figures(figures: &Figures) -> Value {
    let fields = FIGURES.iter().zip(figures).map(|(figure, value)| (figure.key.to_owned(), figure.unit.json(*value)));
    Value::Object(fields.collect())
}

fn failure(failure: &Failure) -> Value {
    json!({
        "seed": failure.seed,
        "violations": failure.violations,
        "plan": failure.plan,
        "plan_file": failure.file.as_ref().map(|file| file.display().to_string()),
        "shrunk": failure.shrunk.as_ref().map(|shrunk| json!({"plan": shrunk.plan, "runs": shrunk.runs})),
        "command": failure.command,
    })
}
