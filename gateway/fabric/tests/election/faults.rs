//! What goes wrong, chosen by the seed.

use std::time::Duration;

use crate::dice::Dice;

/// Something that befalls the plane.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// From these to those nothing arrives, while the other direction lives on.
    Cut(Vec<(usize, usize)>),
    /// The network is whole again.
    Mend,
    /// How long messages take, and how many of a hundred are lost or doubled.
    Weather { delay_ms: (u64, u64), lost: u64, doubled: u64 },
    /// How long a write to disk takes.
    Disk { ms: (u64, u64) },
    /// Power off.
    Crash(usize),
    /// Power on.
    Start(usize),
    /// Not scheduled for so long.
    Pause(usize, Duration),
    /// An operator's wish.
    StepDown(usize),
}

pub(crate) const FAIR: Fault = Fault::Weather { delay_ms: (0, 8), lost: 0, doubled: 0 };
pub(crate) const QUICK_DISK: Fault = Fault::Disk { ms: (0, 6) };

/// How a seed likes to spoil things.
pub(crate) struct Temper {
    instances: usize,
    /// Between two faults at most, ms.
    pace_ms: u64,
    cuts: u64,
    crashes: u64,
    pauses: u64,
    steps: u64,
}

impl Temper {
    pub(crate) fn of(dice: &mut Dice, instances: usize) -> Self {
        let pace_ms = [40, 150, 500, 1500][dice.index(4)];
        let mut share = || if dice.chance(25) { 0 } else { 1 + dice.below(10) };
        Self { instances, pace_ms, cuts: share(), crashes: share(), pauses: share(), steps: share() }
    }

    pub(crate) fn next(&self, dice: &mut Dice) -> (Duration, Fault) {
        let pause = dice.ms(1..self.pace_ms);
        let all = self.cuts + self.crashes + self.pauses + self.steps + 4;
        let mut choice = dice.below(all);
        let mut is = |share: u64| {
            let chosen = choice < share;
            choice = choice.saturating_sub(share);
            chosen
        };
        let who = dice.index(self.instances);
        let fault = if is(self.cuts) {
            if dice.chance(35) { Fault::Mend } else { self.cut(dice) }
        } else if is(self.crashes) {
            if dice.chance(40) { Fault::Crash(who) } else { Fault::Start(who) }
        } else if is(self.pauses) {
            let most = if dice.chance(30) { 3000 } else { 700 };
            Fault::Pause(who, dice.ms(1..most))
        } else if is(self.steps) {
            Fault::StepDown(who)
        } else if dice.chance(20) {
            Fault::Disk { ms: [(0, 3), (1, 30), (30, 400), (200, 900)][dice.index(4)] }
        } else {
            let delay_ms = [(0, 2), (1, 30), (20, 150), (0, 900)][dice.index(4)];
            let lost = [0, 0, 5, 30][dice.index(4)];
            let doubled = [0, 0, 20][dice.index(3)];
            Fault::Weather { delay_ms, lost, doubled }
        };
        (pause, fault)
    }

    /// One alone, two halves, or single directions.
    fn cut(&self, dice: &mut Dice) -> Fault {
        let n = self.instances;
        let pairs = (0..n).flat_map(|a| (0..n).map(move |b| (a, b))).filter(|(a, b)| a != b);
        let cut = match dice.below(3) {
            0 => {
                let alone = dice.index(n);
                pairs.filter(|(a, b)| *a == alone || *b == alone).collect()
            }
            1 => {
                let side = dice.next();
                pairs.filter(|(a, b)| (side >> a) & 1 != (side >> b) & 1).collect()
            }
            _ => pairs.filter(|_| dice.chance(40)).collect(),
        };
        Fault::Cut(cut)
    }
}
