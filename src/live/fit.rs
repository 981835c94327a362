//! What must fit together before a session begins: strategy, account, streams and options.

use alphaengine_core::strategy::Strategy;

use super::LiveJob;
use crate::error::Error;

/// Refuses what would only go wrong once it trades.
pub fn check<S: Strategy>(job: &LiveJob, strategy: &S) -> Result<(), Error> {
    let name = &job.recipe.strategy;
    if job.recipe.hedge && !strategy.knows_hedge_mode() {
        return Err(Error::new(format!("the account is in hedge mode, and {name} trades one position a symbol"))
            .hint("switch the account to one-way mode, or use a strategy that names the side of its positions"));
    }
    if strategy.follows_book() && !job.recipe.streams.book_ticker {
        let problem = format!("option --streams: {name} follows the book ticker, and `book` is not listened to");
        return Err(Error::new(problem).hint("add book to the list, or leave the option out"));
    }
    let Some(leverage) = job.options.leverage else { return Ok(()) };
    for (_, instrument) in job.recipe.instruments.iter() {
        let (symbol, most) = (&instrument.symbol, instrument.max_leverage());
        if leverage == 0 || leverage > most {
            let problem = format!("option --leverage: {leverage} is not allowed for {symbol}: give 1 to {most}");
            return Err(Error::new(problem));
        }
    }
    Ok(())
}
