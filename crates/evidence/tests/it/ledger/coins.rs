//! Coins: fair, and the ones that were committed to.

use super::beacon::recorded;
use super::{Repeating, at};
use jiff::Timestamp;
use stillwatch_evidence::Message;
use stillwatch_evidence::beacon::Chain;
use stillwatch_evidence::ledger::{
    CoinCommitment, RequestSide, Salt, Sha256Hash, coin_commitment, request_hash, salt_commitment,
    text_commitment, throw, unbiased,
};

#[test]
fn words_are_rejected_exactly_where_they_would_tip_the_balance() {
    // For a small word size the same rule can be counted through; for 64 bits, its edges.
    for bound in 1..70_u64 {
        let limit = u64::MAX - (u64::MAX % bound + 1) % bound;
        let sides = usize::try_from(bound).unwrap();
        assert!(unbiased(limit, sides).is_some());
        assert_eq!(unbiased(limit, sides), Some(sides - 1), "the last full turn ends here");
        if limit < u64::MAX {
            assert_eq!(unbiased(limit + 1, sides), None);
            assert_eq!(unbiased(u64::MAX, sides), None);
        }
    }
    assert_eq!(unbiased(7, 0), None);
}

/// Counts against expectation; for a fair coin the statistic is chi-square with n − 1 degrees of
/// freedom, whose 1 − 1e-6 quantiles for 1, 2 and 4 degrees are 23.9, 27.6 and 33.4
/// (scipy 1.11, chi2.isf(1e-6, [1, 2, 4])).
fn chi_square(counts: &[u32]) -> f64 {
    let expected = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
    counts.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum()
}

#[test]
fn every_slot_is_as_likely() {
    let (chain, round) = recorded().swap_remove(0);
    let round = round.check(chain).unwrap();
    let mut entropy = Repeating::boxed(9);
    for (n_slots, limit) in [(2, 23.9), (3, 27.6), (5, 33.4)] {
        let mut public = vec![0; n_slots];
        let mut server = vec![0; n_slots];
        for n in 0..20_000_u32 {
            public[round.coin(&Sha256Hash::of(&n.to_le_bytes()), n_slots)] += 1;
            server[throw(entropy.as_mut(), n_slots).unwrap()] += 1;
        }
        assert!(chi_square(&public) < limit, "{public:?}");
        assert!(chi_square(&server) < limit, "{server:?}");
    }
}

/// For two slots the coin is the last bit of the first eight bytes of
/// SHA-256(randomness ‖ leaf hash). Computed apart:
/// `python3 -c "import hashlib as h; r = bytes.fromhex('<randomness>');
/// l = h.sha256(b'leaf').digest(); print(h.sha256(r + l).hexdigest())"`
#[test]
fn a_public_coin_is_a_bit_of_round_and_leaf() {
    for (chain, round) in recorded() {
        let checked = round.check(chain).unwrap();
        let leaf = Sha256Hash::of(b"leaf");
        let mut bytes = round.randomness.as_bytes().to_vec();
        bytes.extend_from_slice(leaf.as_bytes());
        let bit = Sha256Hash::of(&bytes).as_bytes()[7] & 1;
        assert_eq!(checked.coin(&leaf, 2), usize::from(bit));
    }
}

#[test]
fn rounds_have_their_times() {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    // Genesis times as the beacons give them.
    assert_eq!(Chain::Quicknet.round_time(1), Some(time("2023-08-23T15:09:27Z")));
    assert_eq!(Chain::Default.round_time(1), Some(time("2020-07-22T15:17:30Z")));
    assert_eq!(Chain::Quicknet.round_time(0), None);
    assert_eq!(Chain::Quicknet.round_time(u64::MAX), None);
    for chain in Chain::ALL {
        assert_eq!(chain.round_after(Timestamp::UNIX_EPOCH), 1);
        for round in [1, 2, 1000] {
            let due = chain.round_time(round).unwrap();
            assert_eq!(chain.round_after(due), round + 1, "strictly after");
            let before = due - jiff::SignedDuration::from_secs(1);
            assert_eq!(chain.round_after(before), round);
        }
        let next = chain.round_after(at(0));
        assert!(chain.round_time(next).unwrap() > at(0));
    }
}

#[test]
fn commitments_have_one_spelling() {
    let hash = Chain::Quicknet.info().hash;
    let good = [format!("drand:{hash}:123"), Sha256Hash::of(b"x").to_string()];
    for text in good {
        assert_eq!(text.parse::<CoinCommitment>().unwrap().to_string(), text);
    }
    let bad = [
        String::new(),
        "drand:".to_owned(),
        format!("drand:{hash}"),
        format!("drand:{hash}:+123"),
        format!("drand:{hash}:0123"),
        format!("drand:{hash}:x"),
        format!("drand:{}:1", Sha256Hash::of(b"x")),
        Sha256Hash::of(b"x").to_string().to_uppercase(),
    ];
    for text in bad {
        assert!(text.parse::<CoinCommitment>().is_err(), "{text}");
    }
}

/// The salted hashes as docs/ledger.md defines them, computed apart with Python 3.11:
///
/// ```python
/// def T(d, *ps):
///     h = hashlib.sha256(d.encode() + b'\0')
///     for p in ps: h.update(len(p).to_bytes(8, 'big') + p)
///     return h.hexdigest()
/// s = [bytes([1]) * 32, bytes([2]) * 32]
/// T("stillwatch/salt/v1", s[0])
/// T("stillwatch/text/v1", s[0], "Grüße".encode())
/// T("stillwatch/coin/v1", b"r-17", (1).to_bytes(8, 'big'), *s)
/// J = '{"account":null,"messages":[{"content":"Hi","role":"user"}],"model":"m",' \
///     '"params":{"temperature":0.5},"time":null}'
/// T("stillwatch/request/v1", J.encode(), *s)
/// ```
#[test]
fn salted_hashes_are_those_of_the_definition() {
    let salts: [Salt; 2] = [[1; 32], [2; 32]];
    let messages = [Message { role: "user".to_owned(), content: "Hi".to_owned() }];
    let params = serde_json::json!({ "temperature": 0.5 });
    let request = RequestSide {
        account: None,
        messages: &messages,
        model: Some("m"),
        params: Some(&params),
        time: None,
    };
    let table = [
        (
            salt_commitment(&salts[0]),
            "36e797ca15b800ebdbe28cbacfec9650c396dccbdff1f8c12eb535c5d5fe623b",
        ),
        (
            text_commitment(&salts[0], "Grüße"),
            "45268bc5ed74aef48f2a4caf0c61feeb082d721b186fac90ee5846c773c5ca05",
        ),
        (
            coin_commitment("r-17", 1, &salts),
            "17e8d3bf1aa68cbab2dd8986efdbad992acb78dc4fd7c9af428a5bd12429ff5c",
        ),
        (
            request_hash(&request, &salts).unwrap(),
            "aff1cafdd9d11f79e49e33fdf8a8928c218e2fccb305daf3a39b0b707cb70b36",
        ),
    ];
    for (found, expected) in table {
        assert_eq!(found.to_string(), expected);
    }
}
