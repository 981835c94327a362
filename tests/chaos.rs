//! The campaign as a user meets it: what it runs, what it prints, how a finding is seen again, and that a backtest with a plan is a
//! backtest.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use serde_json::Value;
use support::{Desk, Ended};

/// A campaign as one JSON object, with how it ended.
fn campaign(desk: &Desk, args: &[&str]) -> (Ended, Value) {
    let ended = desk.run(&[&["chaos", "--json"], args].concat());
    let report = serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    (ended, report)
}

/// Without what differs from run to run.
fn without_times(mut report: Value) -> Value {
    let fields = report.as_object_mut().unwrap();
    for name in ["wall_s", "seeds_per_s", "jobs"] {
        assert!(fields.remove(name).is_some(), "{name}");
    }
    report
}

#[test]
fn a_campaign_says_what_it_broke_what_it_checked_and_what_that_did_to_the_strategy() {
    let desk = Desk::new();
    let (ended, report) = campaign(&desk, &["--seeds", "6", "--length", "2m", "--jobs", "2"]);
    assert_eq!(ended.code, i32::from(report["violating_seeds"] != 0), "{ended:?}");
    assert_eq!((&report["seeds"], &report["first_seed"], &report["strategy"]), (&6.into(), &1.into(), &"drill".into()));
    assert!(!report["faults"].as_array().unwrap().is_empty(), "{report}");
    for law in report["laws"].as_array().unwrap() {
        assert!(law["law"].as_str().unwrap().starts_with('I') && law["checked"].is_u64(), "{law}");
    }
    assert_eq!(report["pairs"], 6, "few seeds all have a run without faults beside them");
    for figure in [
        "pnl",
        "max_drawdown",
        "slippage",
        "fees",
        "orders",
        "fills",
        "refused_entries",
        "safe_s",
        "away_s",
        "restarts",
    ] {
        for part in ["fault_free", "with_faults", "difference"] {
            for value in ["p5", "median", "p95", "worst"] {
                let value = &report["effects"][figure][part][value];
                assert!(value.is_string() || value.is_i64(), "{figure} {part}: {value}");
            }
        }
    }
    let orders = report["effects"]["orders"]["fault_free"]["median"].as_i64().unwrap();
    assert!(orders > 20, "the drill hardly traded: {orders}");
    assert_eq!((&report["doubled_seeds"], &report["trace_mismatches"]), (&1.into(), &0.into()));
}

#[test]
fn a_seed_is_the_same_run_however_the_campaign_is_cut() {
    let desk = Desk::new();
    let args = ["--seeds", "3", "--seed", "20", "--length", "30s", "--double", "100", "--pairs", "1"];
    let (_, one) = campaign(&desk, &[&args[..], &["--jobs", "1"]].concat());
    let (_, two) = campaign(&desk, &[&args[..], &["--jobs", "3"]].concat());
    assert_eq!((&one["doubled_seeds"], &one["pairs"]), (&3.into(), &1.into()));
    assert_eq!(one["trace_mismatches"], 0);
    assert_eq!(without_times(one), without_times(two));
}

#[test]
fn a_plan_from_a_file_is_what_goes_wrong_and_is_counted_by_name_and_kind() {
    let desk = Desk::new();
    let plan = r#"[{"name": "mine", "on": {"at_ms": 20000}, "fault": {"kind": "crash", "down_ms": 3000}}]"#;
    let plan = desk.write("plan.json", plan);
    let plan = plan.to_str().unwrap();
    let (_, report) = campaign(&desk, &["--seeds", "2", "--length", "1m", "--plan", plan, "--double", "0"]);
    let fired = &report["faults"][0];
    assert_eq!((&fired["family"], &fired["kind"], &fired["fired"]), (&"mine".into(), &"crash".into(), &2.into()));
    assert_eq!(report["effects"]["restarts"]["with_faults"]["median"], 1, "{report}");
    assert_eq!(report["effects"]["restarts"]["fault_free"]["median"], 0, "{report}");
}

#[test]
fn a_single_seed_can_be_looked_at_up_to_a_step() {
    let desk = Desk::new();
    let ended =
        desk.run(&["chaos", "--seed", "3", "--length", "1m", "--trace", "--until", "50", "--save", "seed-3.json"]);
    assert!(ended.code <= 1, "{ended:?}");
    assert!(ended.out.contains("seed 3, ") && ended.out.contains("\n50 steps\n"), "{ended:?}");
    // What was saved is the plan that was shown, and can be given back.
    let saved = std::fs::read_to_string(desk.path("seed-3.json")).unwrap();
    assert!(ended.out.contains(saved.trim()), "{saved}");
    let again =
        desk.run(&["chaos", "--seed", "3", "--length", "1m", "--trace", "--until", "50", "--plan", "seed-3.json"]);
    assert_eq!(again.out, ended.out);
}

#[test]
fn a_backtest_with_an_empty_plan_gives_the_orders_of_the_plain_one() {
    let desk = Desk::new();
    desk.write("empty.json", "[]");
    for strategy in [
        &["--strategy", "sma_cross", "--param", "fast=5", "--param", "slow=13"][..],
        &["--strategy", "grid", "--param", "spacing=0.0005"],
    ] {
        let data = [strategy, &["--symbol", "BTCUSDT", "--timerange", "20250101T00-20250101T08"]].concat();
        let plain = desk.json(&[&data[..], &["--store", "none"]].concat());
        let ended = desk.run(&[&["backtest", "--json", "--faults", "empty.json"], &data[..]].concat());
        let faulted: Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!(ended.code, 0, "{strategy:?}: {faulted}");
        for run in ["fault_free", "with_faults"] {
            let figures = &faulted[run]["figures"];
            assert_eq!(figures["orders"], plain["orders"], "{strategy:?} {run}");
            assert_eq!(figures["fills"], plain["fills"], "{strategy:?} {run}");
            assert_eq!(figures["fees"], plain["fees"], "{strategy:?} {run}");
        }
        assert!(plain["orders"].as_u64().unwrap() > 20, "too few orders to prove anything");
        assert_eq!(faulted["fault_free"]["trace_hash"], faulted["with_faults"]["trace_hash"]);
    }
}

#[test]
fn what_cannot_be_run_is_said_in_a_sentence() {
    let desk = Desk::new();
    desk.write(
        "other.json",
        "[{\"on\": {\"at_ms\": 5}, \"fault\": {\"kind\": \"filters\", \"symbol\": \"DOGEUSDT\", \"times\": 2}}]",
    );
    desk.write("bad.json", "[{\"on\": {}, \"fault\": {\"kind\": \"explode\"}}]");
    for (args, said) in [
        (&["chaos", "--seeds", "0"][..], "option --seeds"),
        (&["chaos", "--jobs", "0"], "option --jobs"),
        (&["chaos", "--double", "101"], "option --double"),
        (&["chaos", "--length", "5"], "option --length"),
        (&["chaos", "--length", "4h", "--timerange", "20250101-20250101T02"], "too short"),
        (&["chaos", "--faults", "F99"], "option --faults"),
        (&["chaos", "--plan", "none.json"], "option --plan"),
        (&["chaos", "--plan", "bad.json"], "the fault plan is not understood"),
        (&["chaos", "--plan", "other.json"], "entry 1 names DOGEUSDT, which is not traded here"),
        (&["backtest", "--faults", "other.json"], "entry 1 names DOGEUSDT, which is not traded here"),
        (&["chaos", "--latency", "5ms"], "option --latency"),
        (&["chaos", "--trace", "--seeds", "2"], "a single seed"),
        (&["chaos", "--hedge"], "option --hedge"),
        (&["chaos", "--strategy", "dril"], "did you mean"),
        (&["backtest", "--faults", "bad.json"], "the fault plan is not understood"),
    ] {
        let error = desk.refusal(args);
        assert!(error.contains(said), "{args:?}: {error}");
    }
}

/// Each plan under `tests/plans` is what a campaign found on the way and somebody mended. The file is named after the seed, which
/// chooses the window of the sample, and after what was wrong.
#[test]
fn what_a_campaign_found_once_is_not_found_again() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let mut plans: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    plans.sort();
    assert!(plans.len() >= 3, "the plans have moved: {}", folder.display());
    let desk = Desk::new();
    for plan in plans {
        let name = plan.file_name().unwrap().to_str().unwrap();
        let seed = name.split('-').next().unwrap();
        let (ended, report) = campaign(&desk, &["--seed", seed, "--seeds", "1", "--plan", plan.to_str().unwrap()]);
        assert_eq!(ended.code, 0, "{name}: {}", report["violations"]);
        assert!(!report["faults"].as_array().unwrap().is_empty(), "{name}: nothing of it comes to pass any more");
    }
}
