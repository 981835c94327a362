//! Calls on parts of a session that read and change other parts of it: each is lent what it needs and nothing else.

/// Calls a method of the account with the parts of the session that it reads and changes.
macro_rules! account_of {
    ($self:ident, $method:ident $(, $argument:expr)*) => {{
        let mut around = crate::binance::account::Around {
            line: &mut $self.line,
            instruments: &$self.config.instruments,
            owners: &mut $self.owners,
            strangers: &mut $self.strangers,
        };
        $self.account.$method(&mut around $(, $argument)*)
    }};
}

/// The same for user events.
macro_rules! user_of {
    ($self:ident, $method:ident $(, $argument:expr)*) => {{
        let newest = &$self.newest;
        let mark = |symbol: alphaengine_core::market::SymbolId| newest.get(symbol.index()).and_then(|newest: &crate::binance::market::Newest| newest.mark_price);
        let mut around = crate::binance::user::Around {
            line: &mut $self.line,
            instruments: &$self.config.instruments,
            owners: &mut $self.owners,
            strangers: &mut $self.strangers,
            mark: &mark,
        };
        $self.user.$method(&mut around $(, $argument)*)
    }};
}
