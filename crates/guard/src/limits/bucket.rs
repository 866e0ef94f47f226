//! One token bucket, of which a part lies in the store. Pure: time is passed in.
//!
//! `level` is what is left in all, as far as this node knows. `lease` is the part of it that
//! the store has already given away to this node, so that it may be spent and forgotten without
//! harm: a node that is killed loses its leases, it never spends twice. Below 0 the lease is a
//! debt: spent, and not yet taken from the store.

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    /// What it holds: the burst that is allowed.
    pub(super) capacity: f64,
    /// What flows in per millisecond.
    pub(super) per_ms: f64,
}

impl Rate {
    /// A limit per period: a whole period's amount may be spent at once.
    pub(super) fn per(amount: u64, period_ms: f64) -> Self {
        let capacity = amount as f64;
        Self { capacity, per_ms: capacity / period_ms }
    }

    /// A level after some time.
    pub(super) fn refill(&self, level: f64, passed_ms: i64) -> f64 {
        (level + self.per_ms * passed_ms.max(0) as f64).min(self.capacity)
    }

    /// How long until a level has grown by this much, milliseconds.
    pub(super) fn wait_ms(&self, missing: f64) -> u64 {
        let wait = (missing / self.per_ms).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to a day"
        )]
        let wait = wait.clamp(1.0, 86_400_000.0) as u64;
        wait
    }
}

/// What may be spent of the part that lies in the store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Credit {
    /// All: this node is the only one.
    All,
    /// Nothing: other nodes may have spent it.
    Nothing,
    /// An equal share among so many nodes: the store can't be asked.
    Share(u32),
}

/// Why an amount can't be taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Short {
    /// There isn't enough: wait so many milliseconds.
    Empty(u64),
    /// There may be enough in the store: it has to be asked.
    Unleased,
}

/// A bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    level: f64,
    lease: f64,
    /// Taken, less what was given back, since the last exchange with the store.
    taken: f32,
    /// Asked for and not leased since then.
    wanted: f32,
    /// Spending per millisecond, lately.
    pace: f32,
}

/// What the store should give (or take back, below 0) for a bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Claim {
    /// Debt: spent already, to be taken in any case.
    pub(super) debt: f64,
    /// As much more as there is.
    pub(super) ahead: f64,
    /// Lease that is given back. It has left the bucket already.
    pub(super) surplus: f64,
}

impl Bucket {
    /// A full bucket, no part of it leased.
    pub(super) fn full(rate: &Rate) -> Self {
        Self { level: rate.capacity, lease: 0.0, taken: 0.0, wanted: 0.0, pace: 0.0 }
    }

    /// What is left in all.
    pub(super) fn level(&self) -> f64 {
        self.level
    }

    /// What is spent or leased and not in the store.
    pub(super) fn lease(&self) -> f64 {
        self.lease
    }

    /// What lies in the store.
    pub(super) fn stored(&self) -> f64 {
        self.level - self.lease
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, rate: &Rate, passed_ms: i64) {
        self.level = rate.refill(self.level, passed_ms);
    }

    /// Whether an amount can be taken. Where the store has to be asked first, it is noted.
    pub(super) fn check(&mut self, rate: &Rate, amount: f64, credit: Credit) -> Result<(), Short> {
        // Sums of fractions: a millionth of a unit is nothing.
        if self.level + 1e-6 < amount {
            return Err(Short::Empty(rate.wait_ms(amount - self.level)));
        }
        let usable = match credit {
            Credit::All => return Ok(()),
            Credit::Nothing => self.lease,
            Credit::Share(nodes) => self.lease + self.stored().max(0.0) / f64::from(nodes.max(1)),
        };
        if usable + 1e-6 >= amount {
            return Ok(());
        }
        if let Credit::Share(_) = credit {
            // Refused: nobody waits for it, so it is no reason to ask the store for more.
            return Err(Short::Empty(rate.wait_ms(amount - usable)));
        }
        self.wanted = (self.wanted + single(amount)).min(single(rate.capacity));
        Err(Short::Unleased)
    }

    /// Takes an amount, below 0 gives one back. Debt ends at one capacity.
    pub(super) fn take(&mut self, rate: &Rate, amount: f64) {
        let amount = if amount > 0.0 {
            amount.min((self.level + rate.capacity).max(0.0))
        } else {
            amount.max(self.level - rate.capacity)
        };
        self.level -= amount;
        self.lease -= amount;
        self.taken += single(amount);
    }

    /// Another rate holds from now on.
    pub(super) fn adapt(&mut self, rate: &Rate) {
        let less = (self.level - rate.capacity).max(0.0);
        self.level -= less;
    }

    /// Whether the store should be asked soon: something was spent that it doesn't know of, or
    /// what it gave is nearly used up.
    pub(super) fn is_low(&self, rate: &Rate, is_only_node: bool) -> bool {
        if is_only_node { self.lease < 0.0 } else { self.lease < 0.5 * self.ahead(rate, false) }
    }

    /// How much to hold in advance: ten seconds' worth where no one else can use it, else two,
    /// and never so much that others notice.
    fn ahead(&self, rate: &Rate, is_only_node: bool) -> f64 {
        let pace = f64::from(self.pace);
        if is_only_node {
            (10_000.0 * pace).max(0.01 * rate.capacity).min(self.level.max(0.0))
        } else {
            (2_000.0 * pace).min(0.01 * rate.capacity).min(self.level.max(0.0))
        }
    }

    /// What to ask the store for, `passed_ms` after the last time. An idle bucket gives all back.
    pub(super) fn claim(
        &mut self,
        rate: &Rate,
        passed_ms: i64,
        is_only_node: bool,
        is_idle: bool,
    ) -> Claim {
        let passed = single(passed_ms.max(200) as f64);
        self.pace = (self.taken.max(0.0) / passed).max(0.7 * self.pace);
        let target =
            if is_idle { 0.0 } else { self.ahead(rate, is_only_node) + f64::from(self.wanted) };
        self.taken = 0.0;
        self.wanted = 0.0;
        let debt = (-self.lease).max(0.0);
        let held = self.lease.max(0.0);
        // A little too much isn't worth giving back.
        let surplus = if is_idle || held > 2.0 * target { held - target } else { 0.0 };
        self.lease -= surplus;
        let ahead = if surplus > 0.0 { 0.0 } else { (target - held).max(0.0) };
        Claim { debt, ahead, surplus }
    }

    /// Takes in what the store gave, and what is left there (only known where others write too).
    pub(super) fn granted(&mut self, rate: &Rate, given: f64, left: Option<f64>) {
        self.lease += given;
        if let Some(left) = left {
            self.level = (left + self.lease).min(rate.capacity);
        }
    }
}

impl Claim {
    /// Serves a claim from a level in the store: what is given, and the level afterwards.
    pub(super) fn serve(&self, rate: &Rate, level: f64) -> (f64, f64) {
        let level = (level + self.surplus - self.debt).min(rate.capacity);
        let ahead = self.ahead.min(level.max(0.0));
        (self.debt + ahead, (level - ahead).max(-rate.capacity))
    }
}

/// Paces and wishes are kept short: they only decide how much is asked for.
#[expect(clippy::cast_possible_truncation, reason = "an estimate")]
fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What happens to nodes that share a bucket.
    #[derive(Debug, Clone)]
    enum Step {
        Pass(i64),
        Take(usize, f64),
        Exchange(usize),
        Kill(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0_i64..5_000).prop_map(Step::Pass),
            (0_usize..3, 0.1..30.0).prop_map(|(n, a)| Step::Take(n, a)),
            (0_usize..3).prop_map(Step::Exchange),
            (0_usize..3).prop_map(Step::Kill),
        ];
        proptest::collection::vec(step, 1..200)
    }

    fn exchange(node: &mut Bucket, store: &mut f64, rate: &Rate, only: bool) {
        let claim = node.claim(rate, 500, only, false);
        let (given, left) = claim.serve(rate, *store);
        *store = left;
        node.granted(rate, given, (!only).then_some(left));
    }

    proptest! {
        #[test]
        fn a_lone_node_never_exceeds_burst_and_rate(steps in steps()) {
            let rate = Rate::per(60, 60_000.0);
            let mut node = Bucket::full(&rate);
            let mut store = rate.capacity;
            let (mut now, mut spent) = (0_i64, 0.0);
            let mut log = vec![(0_i64, 0.0)];
            for step in steps {
                match step {
                    Step::Pass(ms) => {
                        now += ms;
                        node.pass(&rate, ms);
                        store = rate.refill(store, ms);
                    }
                    Step::Take(_, amount) => if node.check(&rate, amount, Credit::All).is_ok() {
                        node.take(&rate, amount);
                        spent += amount;
                    },
                    Step::Exchange(_) => exchange(&mut node, &mut store, &rate, true),
                    Step::Kill(_) => {}
                }
                log.push((now, spent));
                prop_assert!(node.level() <= rate.capacity + 1e-6);
            }
            // Over any window: no more than what the bucket holds and what flows in.
            for (i, (from, before)) in log.iter().enumerate() {
                for (to, after) in &log[i..] {
                    let bound = rate.capacity + rate.per_ms * (to - from) as f64;
                    prop_assert!(after - before <= bound + 1e-3);
                }
            }
        }

        #[test]
        fn nodes_that_share_exceed_it_by_their_leases_at_most(steps in steps()) {
            let rate = Rate::per(600, 60_000.0);
            let mut store = rate.capacity;
            let mut nodes = [Bucket::full(&rate); 3];
            let mut known = [false; 3];
            let (mut now, mut spent) = (0_i64, 0.0);
            for step in steps {
                match step {
                    Step::Pass(ms) => {
                        now += ms;
                        store = rate.refill(store, ms);
                        for node in &mut nodes {
                            node.pass(&rate, ms);
                        }
                    }
                    Step::Take(n, amount) => {
                        let ok = nodes[n].check(&rate, amount, Credit::Nothing).is_ok();
                        if ok && known[n] {
                            nodes[n].take(&rate, amount);
                            spent += amount;
                        }
                    }
                    Step::Exchange(n) => {
                        exchange(&mut nodes[n], &mut store, &rate, false);
                        known[n] = true;
                    }
                    // Killed: what it held is lost, what it spent is not forgotten.
                    Step::Kill(n) => {
                        nodes[n] = Bucket::full(&rate);
                        known[n] = false;
                    }
                }
                let held: f64 = nodes.iter().map(|node| node.lease().max(0.0)).sum();
                let bound = rate.capacity + rate.per_ms * now as f64;
                prop_assert!(spent + held + store.max(0.0) <= bound + 1e-3);
            }
        }

        #[test]
        fn what_is_reserved_and_given_back_leaves_no_trace(
            amounts in proptest::collection::vec((0.1..50.0_f64, 0.0..1.0_f64), 1..50),
        ) {
            let rate = Rate::per(1_000, 60_000.0);
            let mut node = Bucket::full(&rate);
            let mut store = rate.capacity;
            let (mut used, mut open) = (0.0, Vec::new());
            for (amount, share) in amounts {
                if node.check(&rate, amount, Credit::All).is_ok() {
                    node.take(&rate, amount);
                    open.push((amount, amount * share));
                }
                exchange(&mut node, &mut store, &rate, true);
            }
            for (reserved, cost) in open {
                node.take(&rate, cost - reserved);
                used += cost;
            }
            prop_assert!((node.level() + used - rate.capacity).abs() < 1e-6);
            prop_assert!((node.stored() - store).abs() < 1e-3);
        }
    }

    #[test]
    fn debt_is_known_to_the_store_and_paid_by_time() {
        let rate = Rate::per(60, 60_000.0);
        let mut node = Bucket::full(&rate);
        let mut store = rate.capacity;
        node.take(&rate, 75.0);
        assert!((node.level() + 15.0).abs() < 1e-9);
        exchange(&mut node, &mut store, &rate, true);
        assert!((store + 15.0).abs() < 1e-9, "{store}");
        assert_eq!(node.check(&rate, 1.0, Credit::All), Err(Short::Empty(16_000)));
        node.pass(&rate, 16_000);
        assert_eq!(node.check(&rate, 1.0, Credit::All), Ok(()));
        node.take(&rate, 1e9);
        assert!(node.level() >= -rate.capacity);
    }

    #[test]
    fn without_the_store_nodes_spend_their_shares() {
        let rate = Rate::per(60, 60_000.0);
        let mut node = Bucket::full(&rate);
        let mut n = 0;
        while node.check(&rate, 1.0, Credit::Share(2)).is_ok() {
            node.take(&rate, 1.0);
            n += 1;
        }
        assert_eq!(n, 30);
        assert_eq!(node.check(&rate, 1.0, Credit::Nothing), Err(Short::Unleased));
    }
}
