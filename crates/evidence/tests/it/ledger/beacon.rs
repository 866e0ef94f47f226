//! Beacons: constants, recorded rounds, coins.

use sha2::{Digest, Sha256};
use stillwatch_evidence::beacon::{Chain, Round};
use stillwatch_evidence::ledger::{Sha256Hash, from_hex, to_hex};

/// Chain hash as drand defines it: period, genesis, key, group hash and, unless it is "default",
/// the beacon's name (drand, common/chain/info.go, `Info.Hash`).
#[test]
fn chain_hashes_commit_to_the_constants() {
    for chain in Chain::ALL {
        let info = chain.info();
        let mut hasher = Sha256::new();
        hasher.update(info.period.to_be_bytes());
        hasher.update(info.genesis_time.to_be_bytes());
        hasher.update(from_hex(info.public_key).unwrap());
        hasher.update(from_hex(info.group_hash).unwrap());
        if info.beacon_id != "default" {
            hasher.update(info.beacon_id);
        }
        assert_eq!(to_hex(&hasher.finalize()), info.hash);
        assert_eq!(Chain::from_hash(info.hash), Some(chain));
    }
}

/// Recorded rounds of the League of Entropy (api.drand.sh/HASH/public/N; the first two stand in
/// the documentation of the crate drand-verify 0.6.2, the others in drand's own archives).
pub(crate) fn recorded() -> Vec<(Chain, Round)> {
    let round = |number: u64, signature: &str, previous: Option<&str>| Round {
        round: number,
        randomness: Sha256Hash::of(&from_hex(signature).expect("hexadecimal digits")),
        signature: signature.to_owned(),
        previous_signature: previous.map(str::to_owned),
    };
    vec![
        (
            Chain::Default,
            round(
                72785,
                "82f5d3d2de4db19d40a6980e8aa37842a0e55d1df06bd68bddc8d60002e8e959eb9cfa368b3c1b77d18f02a54fe047b80f0989315f83b12a74fd8679c4f12aae86eaf6ab5690b34f1fddd50ee3cc6f6cdf59e95526d5a5d82aaa84fa6f181e42",
                Some(
                    "a609e19a03c2fcc559e8dae14900aaefe517cb55c840f6e69bc8e4f66c8d18e8a609685d9917efbfb0c37f058c2de88f13d297c7e19e0ab24813079efe57a182554ff054c7638153f9b26a60e7111f71a0ff63d9571704905d3ca6df0b031747",
                ),
            ),
        ),
        (
            Chain::Quicknet,
            round(
                123,
                "b75c69d0b72a5d906e854e808ba7e2accb1542ac355ae486d591aa9d43765482e26cd02df835d3546d23c4b13e0dfc92",
                None,
            ),
        ),
        (
            Chain::Default,
            Round {
                round: 1,
                randomness: "101297f1ca7dc44ef6088d94ad5fb7ba03455dc33d53ddb412bbc4564ed986ec"
                    .parse()
                    .expect("a hash"),
                signature: "8d61d9100567de44682506aea1a7a6fa6e5491cd27a0a0ed349ef6910ac5ac20ff7bc3e09d7c046566c9f7f3c6f3b10104990e7cb424998203d8f7de586fb7fa5f60045417a432684f85093b06ca91c769f0e7ca19268375e659c2a2352b4655".to_owned(),
                previous_signature: Some(
                    "176f93498eac9ca337150b46d21dd58673ea4e3581185f869672e59fa4cb390a".to_owned(),
                ),
            },
        ),
    ]
}

#[test]
fn recorded_rounds_verify_and_altered_ones_do_not() {
    for (chain, round) in recorded() {
        let checked = round.check(chain).unwrap();
        assert_eq!(checked.randomness(), &round.randomness);
        assert!(Round { round: round.round + 1, ..round.clone() }.check(chain).is_err());
        assert!(Round { round: 0, ..round.clone() }.check(chain).is_err());
        let randomness = Sha256Hash::of(b"another");
        assert!(Round { randomness, ..round.clone() }.check(chain).is_err());
        assert!(Round { signature: "zz".to_owned(), ..round.clone() }.check(chain).is_err());
        assert!(Round { signature: String::new(), ..round.clone() }.check(chain).is_err());
        let previous_signature = Some("00".to_owned());
        assert!(Round { previous_signature, ..round.clone() }.check(chain).is_err());
    }
    let (_, quicknet) = recorded().swap_remove(1);
    assert!(quicknet.check(Chain::Default).is_err(), "another chain's round");
}
