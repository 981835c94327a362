//! The table is the report as a page of text: what was earned first, then at what risk, by which trades, at what cost.

use super::summary::Report;
use super::text::{count, duration, money, number, percent, signed, signed_mean, signed_percent, times};
use super::trade_figures::TradeFigures;
use crate::units::Money;

/// Of a block: label, value, and the gap to the next one. Three of them are 100 columns.
const LABEL: usize = 16;
const VALUE: usize = 15;
const GAP: &str = "  ";
/// More symbols than this are summed up in one line.
const MOST_SYMBOLS: usize = 6;
/// The width of a row of closed trades: that of three blocks.
const ROW: usize = 3 * (LABEL + 1 + VALUE) + 2 * GAP.len();

/// A heading and its lines.
struct Block {
    heading: &'static str,
    lines: Vec<(&'static str, String)>,
}

impl Report {
    /// The report as text, at most 100 columns wide, with a line break at its end.
    pub fn table(&self) -> String {
        let mut text = self.head();
        text += &side_by_side(&[self.result_block(), self.risk_block(), self.trades_block()]);
        text.push('\n');
        text += &side_by_side(&[self.costs_block(), self.exposure_block(), self.execution_block()]);
        text.push('\n');
        text += &self.sides();
        text += &self.refusals();
        text += &format!("\n{}\n", self.convention);
        text
    }

    /// The balance and the curve, with its lowest and highest value.
    fn head(&self) -> String {
        let result = &self.result;
        let (initial, last) = (money(result.initial_equity), money(result.final_equity));
        let mut text = format!("Equity  {initial} → {last} {}   {}\n", self.asset, signed_percent(result.total_return));
        if let Some(drawn) = &self.sparkline {
            let (low, high) = (money(drawn.low), money(drawn.high));
            text += &format!("        {}  {low} to {high}\n", drawn.blocks);
        }
        text.push('\n');
        text
    }

    fn result_block(&self) -> Block {
        let result = &self.result;
        let mut lines = vec![
            ("Net profit", signed(result.net_profit)),
            ("Total return", signed_percent(result.total_return)),
            ("CAGR", signed_percent(result.cagr)),
            ("Buy and hold", signed_percent(result.buy_and_hold)),
            ("Gross PnL", signed(result.gross_pnl)),
            ("Best day", signed_percent(result.best_day.map(|day| day.earned))),
            ("Worst day", signed_percent(result.worst_day.map(|day| day.earned))),
        ];
        if self.open.trades > 0 {
            lines.push(("Open trades", count(self.open.trades)));
            lines.push(("  their PnL", signed(self.open.pnl)));
        }
        if !result.transfers.is_zero() {
            lines.push(("Transfers", signed(result.transfers)));
        }
        if !result.insurance.is_zero() {
            lines.push(("Insurance fund", signed(result.insurance)));
        }
        Block { heading: "Result", lines }
    }

    fn risk_block(&self) -> Block {
        let risk = &self.risk;
        let longest = duration((risk.drawdowns > 0).then_some(risk.longest_drawdown_ns));
        // A drawdown is a loss: it is shown as one.
        let fall = Money::ZERO.saturating_sub(risk.max_drawdown);
        let lines = vec![
            ("Max drawdown", signed_percent(risk.max_drawdown_ratio.map(|ratio| -ratio))),
            ("  in money", signed(fall)),
            (if risk.longest_is_ongoing { "Longest, ongoing" } else { "Longest" }, longest),
            ("Average", duration(risk.mean_drawdown_ns)),
            ("Under water", percent(risk.under_water_ratio)),
            ("Volatility", percent(risk.volatility)),
            ("Sharpe", number(risk.sharpe)),
            ("Sortino", number(risk.sortino)),
            ("Calmar", number(risk.calmar)),
        ];
        Block { heading: "Risk", lines }
    }

    fn trades_block(&self) -> Block {
        let trades = &self.trades;
        let closed = format!("{} / {} / {}", count(trades.wins), count(trades.losses), count(trades.draws));
        let streaks = format!("{} / {}", count(trades.longest_win_streak), count(trades.longest_loss_streak));
        let lines = vec![
            ("Closed", count(trades.trades)),
            ("Won/lost/drawn", closed),
            ("Win rate", percent(trades.win_rate)),
            ("Profit factor", number(trades.profit_factor)),
            ("Expectancy", signed_mean(trades.expectancy)),
            ("  as a ratio", number(trades.expectancy_ratio)),
            ("SQN", number(trades.sqn)),
            ("Best", signed_trade(trades.best.map(|trip| trip.pnl()))),
            ("Worst", signed_trade(trades.worst.map(|trip| trip.pnl()))),
            ("Streaks won/lost", streaks),
        ];
        Block { heading: "Trades", lines }
    }

    fn costs_block(&self) -> Block {
        let costs = &self.costs;
        let mut lines = vec![
            ("Fees", money(costs.fees)),
            ("  taker", money(costs.taker_fees)),
            ("  maker", money(costs.maker_fees)),
        ];
        if !costs.liquidation_fees.is_zero() {
            lines.push(("  liquidation", money(costs.liquidation_fees)));
        }
        for fees in costs.fees_by_asset.iter().filter(|fees| fees.asset != self.asset) {
            lines.push(("  other asset", format!("{} {}", money(fees.total()), fees.asset)));
        }
        lines.extend([
            ("  of gross PnL", percent(costs.fees_of_gross)),
            ("Funding", signed(costs.funding)),
            ("  paid", money(costs.funding_paid)),
            ("  received", money(costs.funding_received)),
            ("  of gross PnL", signed_percent(costs.funding_of_gross)),
        ]);
        Block { heading: "Costs", lines }
    }

    fn exposure_block(&self) -> Block {
        let (exposure, durations) = (&self.exposure, &self.durations);
        let lines = vec![
            ("In market", percent(exposure.in_market_ratio)),
            ("Leverage mean", times(exposure.mean_leverage)),
            ("Leverage max", times(exposure.max_leverage)),
            ("Turnover", times(exposure.turnover)),
            ("  per day", times(exposure.turnover_per_day)),
            ("Held, mean", duration(durations.all.mean_ns)),
            ("  median", duration(durations.all.median_ns)),
            ("  winners, mean", duration(durations.winners.mean_ns)),
            ("  losers, mean", duration(durations.losers.mean_ns)),
        ];
        Block { heading: "Exposure", lines }
    }

    fn execution_block(&self) -> Block {
        let execution = &self.execution;
        let mut lines = vec![
            ("Orders", count(execution.orders)),
            ("Fills", count(execution.fills)),
            ("Fill ratio", percent(execution.fill_ratio)),
            ("Maker ratio", percent(execution.maker_ratio)),
            ("Cancels", count(execution.canceled)),
            ("Expiries", count(execution.expired)),
            ("Rejects", count(execution.rejected)),
            ("Latency p50", duration(execution.latency_p50_ns)),
            ("Latency p99", duration(execution.latency_p99_ns)),
        ];
        if execution.liquidations > 0 {
            lines.push(("LIQUIDATIONS", count(execution.liquidations)));
        }
        Block { heading: "Execution", lines }
    }

    /// Closed trades by side, and by symbol where there are several.
    fn sides(&self) -> String {
        let mut rows = vec![("Long", &self.long), ("Short", &self.short)];
        let mut rest = 0;
        if self.by_symbol.len() > 1 {
            let mut traded: Vec<_> = self.by_symbol.iter().filter(|symbol| symbol.trades.trades > 0).collect();
            traded.sort_by_key(|symbol| std::cmp::Reverse(symbol.trades.pnl));
            rest = traded.len().saturating_sub(MOST_SYMBOLS);
            // Of too many, those that earned and lost the most.
            if rest > 0 {
                traded.drain(MOST_SYMBOLS / 2..MOST_SYMBOLS / 2 + rest);
            }
            rows.extend(traded.iter().map(|symbol| (symbol.symbol.as_str(), &symbol.trades)));
        }
        let headings = ["Closed trades", "Trades", "Win rate", "Net PnL", "Prof.factor", "Fees", "Funding"];
        let mut text = row(headings.map(str::to_owned));
        text += &format!("{}\n", "─".repeat(ROW));
        for (name, figures) in rows {
            text += &row(side_row(name, figures));
        }
        if rest > 0 {
            text += &format!("(and {rest} more symbols in between)\n");
        }
        text
    }

    /// What was refused, by whom and why; nothing where nothing was.
    fn refusals(&self) -> String {
        let by_code = |counts: &std::collections::BTreeMap<i32, u64>| {
            list(counts.iter().map(|(code, times)| (code.to_string(), *times)).collect())
        };
        let execution = &self.execution;
        let refused = execution.refusals.iter().map(|(reason, times)| ((*reason).to_owned(), *times));
        let lines = [
            ("Orders rejected by code", by_code(&execution.rejects)),
            ("Changes rejected by code", by_code(&execution.change_rejects)),
            ("Commands refused", list(refused.collect())),
        ];
        let told = lines.iter().filter(|(_, list)| !list.is_empty());
        let lines: String = told.map(|(name, list)| format!("{name}: {list}\n")).collect();
        if lines.is_empty() { lines } else { format!("\n{lines}") }
    }
}

fn signed_trade(pnl: Option<Money>) -> String {
    pnl.map_or_else(|| number(None), signed)
}

/// `name x times`, the most frequent first, as many as fit a line.
fn list(mut counts: Vec<(String, u64)>) -> String {
    const ROOM: usize = 68;
    counts.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    let mut text = String::new();
    for (name, times) in counts {
        let item = format!("{name} x {}", count(times));
        if text.len() + item.len() > ROOM {
            return text + ", ...";
        }
        text += if text.is_empty() { "" } else { ", " };
        text += &item;
    }
    text
}

fn side_row(name: &str, figures: &TradeFigures) -> [String; 7] {
    [
        name.to_owned(),
        count(figures.trades),
        percent(figures.win_rate),
        signed(figures.pnl),
        number(figures.profit_factor),
        money(figures.fees),
        signed(figures.funding),
    ]
}

fn row(cells: [String; 7]) -> String {
    let [name, trades, win_rate, pnl, factor, fees, funding] = cells;
    let name: String = name.chars().take(18).collect();
    format!("{name:<18}{trades:>11}{win_rate:>11}{pnl:>18}{factor:>12}{fees:>15}{funding:>15}\n")
}

fn side_by_side(blocks: &[Block]) -> String {
    let width = LABEL + 1 + VALUE;
    let mut text = String::new();
    let mut put = |cells: Vec<String>| {
        text += cells.join(GAP).trim_end();
        text.push('\n');
    };
    put(blocks.iter().map(|block| format!("{:<width$}", block.heading)).collect());
    put(blocks.iter().map(|_| "─".repeat(width)).collect());
    let height = blocks.iter().map(|block| block.lines.len()).max().unwrap_or(0);
    for index in 0..height {
        let cell = |block: &Block| match block.lines.get(index) {
            // A value that needs more room takes it from its label's padding.
            Some((label, value)) => {
                let room = width.saturating_sub(label.chars().count() + 1);
                format!("{label} {value:>room$}")
            }
            None => " ".repeat(width),
        };
        put(blocks.iter().map(cell).collect());
    }
    text
}
