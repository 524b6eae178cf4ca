//! Prices that look like a market: a seeded random walk of several pairs. No clock, no I/O: the time is an argument.
//!
//! Amounts are whole numbers of the smallest unit that the exchange writes, so that they print exactly: prices have 5
//! decimals, volumes 8.

/// One hundred-thousandth.
const PRICE_UNIT: u64 = 100_000;

/// One hundred-millionth.
const VOLUME_UNIT: u64 = 100_000_000;

/// The pairs that are traded: name, price at the start, smallest step of the price, and a typical volume, each in
/// its unit.
const PAIRS: &[(&str, u64, u64, u64)] = &[
    ("XBT/USD", 64_250 * PRICE_UNIT, PRICE_UNIT / 10, VOLUME_UNIT / 20),
    ("ETH/USD", 3_120 * PRICE_UNIT, PRICE_UNIT / 100, VOLUME_UNIT / 2),
    ("SOL/USD", 148 * PRICE_UNIT, PRICE_UNIT / 100, 8 * VOLUME_UNIT),
    ("XRP/USD", PRICE_UNIT * 53 / 100, 1, 1_500 * VOLUME_UNIT),
    ("ADA/USD", PRICE_UNIT * 38 / 100, 1, 2_000 * VOLUME_UNIT),
    ("XBT/EUR", 59_300 * PRICE_UNIT, PRICE_UNIT / 10, VOLUME_UNIT / 25),
];

/// All pairs and what happened to each since the start.
pub(super) struct Market {
    random: Random,
    pairs: Vec<Pair>,
}

/// One pair, as the ticker shows it.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) name: &'static str,
    pub(super) ask: u64,
    pub(super) bid: u64,
    pub(super) last: u64,
    pub(super) last_volume: u64,
    pub(super) open: u64,
    pub(super) low: u64,
    pub(super) high: u64,
    pub(super) volume: u64,
    pub(super) trades: u64,
    /// Price times volume of all trades, in price units.
    turnover: u128,
    step: u64,
    typical: u64,
}

/// One trade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trade {
    pub(super) price: u64,
    pub(super) volume: u64,
    /// Microseconds since 1970-01-01 UTC.
    pub(super) at: u64,
    pub(super) side: Side,
    pub(super) order: Order,
}

/// Who took the offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Buy,
    Sell,
}

/// What kind of order took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Market,
    Limit,
}

/// What one turn of the market brings.
pub(super) struct Turn {
    /// The pair after it.
    pub(super) pair: Pair,
    /// Never empty; oldest first.
    pub(super) trades: Vec<Trade>,
    /// Whether best prices moved enough for the ticker to be told.
    pub(super) ticker: Ticker,
    /// How long until the next turn, in milliseconds.
    pub(super) pause: u64,
}

/// Whether a ticker goes out with the trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ticker {
    Told,
    Kept,
}

impl Market {
    /// The same seed gives the same market.
    pub(super) fn new(seed: u64) -> Self {
        let pairs = PAIRS.iter().map(|(name, price, step, typical)| Pair::new(name, *price, *step, *typical)).collect();
        Self { random: Random(seed), pairs }
    }

    /// The names of all pairs.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        PAIRS.iter().map(|(name, ..)| *name)
    }

    /// Lets one pair trade at `now` (microseconds since 1970).
    pub(super) fn turn(&mut self, now: u64) -> Option<Turn> {
        let random = &mut self.random;
        // The first pairs trade more often than the last.
        let (a, b) = (random.below(self.pairs.len() as u64), random.below(self.pairs.len() as u64));
        let pair = self.pairs.get_mut(usize::try_from(a.min(b)).ok()?)?;
        let side = if random.below(2) == 0 { Side::Buy } else { Side::Sell };
        let order = if random.below(3) == 0 { Order::Market } else { Order::Limit };
        let count = if random.below(5) == 0 { 2 + random.below(2) } else { 1 };
        let mut trades = Vec::new();
        for i in 0..count {
            pair.drift(random);
            let price = match side {
                Side::Buy => pair.ask,
                Side::Sell => pair.bid,
            };
            let volume = (pair.typical / 10 + random.below(pair.typical) * (1 + random.below(4))).max(1);
            pair.record(price, volume);
            trades.push(Trade { price, volume, at: now + i * 37, side, order });
        }
        let ticker = if random.below(3) == 0 { Ticker::Told } else { Ticker::Kept };
        Some(Turn { pair: pair.clone(), trades, ticker, pause: 15 + random.below(60) })
    }
}

impl Pair {
    fn new(name: &'static str, price: u64, step: u64, typical: u64) -> Self {
        let (bid, ask) = (price, price + step);
        let (open, low, high, last) = (price, price, price, price);
        let (volume, turnover) = (typical, u128::from(price) * u128::from(typical));
        Self { name, ask, bid, last, last_volume: typical, open, low, high, volume, trades: 1, turnover, step, typical }
    }

    /// Moves the best prices by up to some 0.02 %, in whole steps, back towards the opening when far from it.
    fn drift(&mut self, random: &mut Random) {
        let most = (self.bid / 5_000 / self.step).max(1);
        let by = random.below(most + 1) * self.step;
        let far = self.open / 10;
        let up = match self.bid {
            bid if bid > self.open + far => false,
            bid if bid < self.open - far => true,
            _ => random.below(2) == 0,
        };
        self.bid = if up { self.bid + by } else { self.bid.saturating_sub(by).max(self.step) };
        self.ask = self.bid + self.step * (1 + random.below(3));
    }

    fn record(&mut self, price: u64, volume: u64) {
        self.last = price;
        self.last_volume = volume;
        self.low = self.low.min(price);
        self.high = self.high.max(price);
        self.volume += volume;
        self.turnover += u128::from(price) * u128::from(volume);
        self.trades += 1;
    }

    /// The average price, weighted by volume.
    pub(super) fn average(&self) -> u64 {
        u64::try_from(self.turnover / u128::from(self.volume.max(1))).unwrap_or(self.last)
    }
}

/// The generator `SplitMix64` (Steele, Lea, Flood, 2014): small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if there is none.
    fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }
}

/// An amount with its decimals: `64250.10000`.
pub(super) fn decimal(amount: u64, decimals: u32) -> String {
    let unit = 10_u64.pow(decimals);
    format!("{}.{:0width$}", amount / unit, amount % unit, width = decimals as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_market() {
        let walk = |seed| {
            let mut market = Market::new(seed);
            (0..200).map(|i| market.turn(i).unwrap().trades).collect::<Vec<_>>()
        };
        assert_eq!(walk(7), walk(7));
        assert_ne!(walk(7), walk(8));
    }

    #[test]
    fn prices_stay_plausible_over_a_long_walk() {
        let mut market = Market::new(1);
        let mut events = 0;
        let mut millis = 0;
        for i in 0..100_000 {
            let turn = market.turn(i).unwrap();
            let pair = &turn.pair;
            assert!(pair.bid < pair.ask && pair.low <= pair.last && pair.last <= pair.high, "{pair:?}");
            assert!(pair.last > pair.open * 8 / 10 && pair.last < pair.open * 12 / 10, "{pair:?}");
            assert!((pair.low..=pair.high).contains(&pair.average()), "{pair:?}");
            assert!(turn.trades.iter().all(|trade| trade.volume > 0));
            events += turn.trades.len() as u64 + u64::from(turn.ticker == Ticker::Told);
            millis += turn.pause;
        }
        let rate = events * 1000 / millis;
        assert!((20..=50).contains(&rate), "{rate} events a second");
        assert!(market.pairs.iter().all(|pair| pair.trades > 100), "every pair trades");
    }

    #[test]
    fn amounts_print_exactly() {
        assert_eq!(decimal(64_250 * PRICE_UNIT + 10_000, 5), "64250.10000");
        assert_eq!(decimal(1, 8), "0.00000001");
        assert_eq!(decimal(38_000, 5), "0.38000");
    }
}
