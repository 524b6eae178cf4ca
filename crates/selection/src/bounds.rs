//! How much one client may ask for.

/// How much one client may ask for. All of it is checked before the work that it bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The text of one JSON filter, in bytes.
    pub max_filter_bytes: usize,
    /// How deep `and`, `or` and `not` may be nested; a filter without them is 1 deep. More than 128 counts as 128,
    /// because what walks over a filter recurses.
    pub max_filter_depth: usize,
    /// The conditions of one filter, each `and`, `or` and `not` counted as one.
    pub max_filter_nodes: usize,
    /// The values of one `in` or `nin`.
    pub max_set_values: usize,
    /// The subscriptions of one connection.
    pub max_subscriptions: usize,
    /// The patterns in one command or URL.
    pub max_topics_per_command: usize,
}

impl Bounds {
    /// The depth that is really allowed.
    pub(crate) fn depth(&self) -> usize {
        self.max_filter_depth.min(128)
    }
}

/// Bounds for tests: small enough to be reached.
#[cfg(test)]
pub(crate) const TEST: Bounds = Bounds {
    max_filter_bytes: 64 * 1024,
    max_filter_depth: 16,
    max_filter_nodes: 256,
    max_set_values: 10_000,
    max_subscriptions: 128,
    max_topics_per_command: 128,
};
