//! `alphaengine exchange serve`: our own Binance on a port of this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use alphaengine_core::units::{NANOS_PER_MINUTE, Nanos};
use alphaengine_server::{FaultPlan, Server, ServerConfig, Speed, Start, playable};
use alphaengine_sim::gateway::GatewayConfig;
use clap::{Parser, Subcommand};

use super::args::{DataArgs, ExchangeArgs, whole};
use super::{Exit, print, say};
use crate::backtest::Scene;
use crate::error::Error;
use crate::faults::read_plan;

#[derive(Subcommand)]
pub enum Verb {
    /// Serve recorded data as a live Binance USD-M Futures exchange: REST, streams, listen keys, orders, errors
    Serve(Box<Serve>),
}

#[derive(Parser)]
pub struct Serve {
    /// Where to listen
    #[arg(long, default_value = "9001")]
    port: u16,
    /// The address to listen on; anything but this machine's own lets others in
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    listen: String,
    #[command(flatten)]
    data: DataArgs,
    /// How fast the market's time passes: 1, 60, any whole number, `max` as fast as it is read, `step` by POST /sim/v1/step
    #[arg(long, default_value = "1")]
    speed: String,
    /// The market begins now, its data shifted in time, or at the recording's own time
    #[arg(long, default_value = "now", value_parser = ["now", "recording"])]
    start: String,
    /// How much of the data is already past when the market begins, in hours
    #[arg(long, default_value = "24", value_name = "HOURS")]
    history: String,
    /// The API key that is accepted
    #[arg(long, default_value = "testkey")]
    key: String,
    /// Its secret (HMAC)
    #[arg(long, default_value = "testsecret")]
    secret: String,
    #[command(flatten)]
    exchange: ExchangeArgs,
    /// What goes wrong: a plan of faults, JSON or TOML (docs/faults.md)
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// A stream that was asked for on the wrong route stays silent, as at the real exchange
    #[arg(long)]
    strict_routes: bool,
    /// How long a listen key lives, in minutes
    #[arg(long, default_value = "60", value_name = "MINUTES")]
    listen_key_life: String,
    /// After how long a WebSocket connection is dropped, in minutes
    #[arg(long, default_value = "1440", value_name = "MINUTES")]
    connection_life: String,
    /// End when the data end, instead of standing still
    #[arg(long)]
    end: bool,
}

pub fn exchange(verb: Verb) -> Result<Exit, Error> {
    match verb {
        Verb::Serve(args) => serve(*args),
    }
}

fn serve(args: Serve) -> Result<Exit, Error> {
    let ip: IpAddr = args.listen.parse().map_err(|_| {
        Error::new(format!("option --listen: `{}` is not an IP address", args.listen)).hint("write 127.0.0.1")
    })?;
    let faults = match &args.faults {
        None => FaultPlan::default(),
        Some(path) => read_plan("--faults", path)?,
    };
    let gateway = GatewayConfig {
        key: args.key,
        secret: Some(args.secret),
        strict_routes: args.strict_routes,
        listen_key_life: minutes("--listen-key-life", &args.listen_key_life)?,
        connection_life: minutes("--connection-life", &args.connection_life)?,
        ..GatewayConfig::default()
    };
    let history: i64 = whole("--history", &args.history)?;
    let (speed, start) = (speed(&args.speed)?, if args.start == "now" { Start::Now } else { Start::Recording });
    let scene = Scene::prepare(args.exchange.scene(args.data)?)?;
    let (faults, left_out) = playable(faults, &scene.instruments);
    let config = ServerConfig {
        address: SocketAddr::new(ip, args.port),
        gateway,
        sim: scene.sim.clone(),
        speed,
        start,
        history: history.saturating_mul(60 * NANOS_PER_MINUTE),
        faults,
        idle_at_end: !args.end,
    };
    let feed = scene.open_data()?;
    let server = Server::start(config, &scene.instruments, feed).map_err(server_error)?;
    left_out.iter().for_each(|note| say(&format!("note: {note}")));
    scene.warnings.iter().for_each(|warning| say(&format!("note: {warning}")));
    let address = server.address();
    print(&format!("serving {} on http://{address} and ws://{address}\n", scene.symbols().join(" ")))?;
    if !ip.is_loopback() {
        say("warning: everybody who reaches this address can trade on this exchange and drive it");
    }
    if ip == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        say(&format!("try: alphaengine live --testnet --rest-url http://{address} --ws-url ws://{address}"));
    }
    server.wait().map_err(server_error)?;
    say("the data are over");
    Ok(Exit::Done)
}

fn speed(text: &str) -> Result<Speed, Error> {
    match text {
        "max" => Ok(Speed::Max),
        "step" => Ok(Speed::Stepped),
        times => match times.parse() {
            Ok(times) if times > 0 => Ok(Speed::Times(times)),
            _ => Err(Error::new(format!("option --speed: `{times}` is not a speed"))
                .hint("write a whole number from 1, `max` or `step`")),
        },
    }
}

fn minutes(option: &str, text: &str) -> Result<Nanos, Error> {
    let minutes: u32 = whole(option, text)?;
    if minutes == 0 {
        return Err(Error::new(format!("option {option}: nothing lives for no time")).hint("give minutes from 1"));
    }
    Ok(i64::from(minutes) * NANOS_PER_MINUTE)
}

fn server_error(error: alphaengine_server::Error) -> Error {
    Error::new(error.to_string())
}
