//! A made-up market behind the server, for trying clients without data.
//!
//! ```text
//! cargo run -p alphaengine-server --example serve -- --port 9001 --speed 60
//! ```
//!
//! Options: `--port N` (0 takes a free one), `--speed N|max|step`, `--key K`, `--secret S`, `--faults FILE`, `--bars-only`.
//! The first line on stdout is the address; it ends with its standard input.

use std::io::Read;

use alphaengine_core::units::NANOS_PER_MINUTE;
use alphaengine_server::{FaultPlan, Server, ServerConfig, Speed};

#[path = "../tests/support/market.rs"]
mod market;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = ServerConfig { history: 300 * NANOS_PER_MINUTE, ..ServerConfig::default() };
    config.gateway.key = "key".to_owned();
    config.gateway.secret = Some("secret".to_owned());
    let mut feed = market::Swings::endless();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--bars-only" {
            feed = feed.bars_only();
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--port" => config.address.set_port(value.parse()?),
            "--key" => config.gateway.key = value,
            "--secret" => config.gateway.secret = Some(value),
            "--faults" => config.faults = FaultPlan::parse(&std::fs::read_to_string(&value)?)?,
            "--speed" => {
                config.speed = match value.as_str() {
                    "max" => Speed::Max,
                    "step" => Speed::Stepped,
                    times => Speed::Times(times.parse()?),
                }
            }
            _ => return Err(format!("{name} is not an option: see the head of this file").into()),
        }
    }
    let server = Server::start(config, &market::instruments(), feed)?;
    println!("http://{}", server.address());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
