//! The Digest of everything that was written. It has to be quick and to differ, not to withstand anybody.

use sha2::{Digest as _, Sha256};

const ODD: [u64; 4] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0xff51_afd7_ed55_8ccd];

#[derive(Debug, Clone)]
pub struct Digest {
    lanes: [u64; 4],
    words: u64,
}

impl Digest {
    pub fn new() -> Digest {
        Digest { lanes: ODD, words: 0 }
    }

    pub fn number(&mut self, number: u64) {
        self.mix(0, number);
        self.words += 1;
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        let (fours, few) = words.as_chunks::<4>();
        let [mut first, mut second, ..] = self.lanes;
        for four in fours {
            let [a, b, c, d] = four.map(u64::from_le_bytes);
            first = fold(first ^ a, b ^ ODD[2]);
            second = fold(second ^ c, d ^ ODD[3]);
        }
        (self.lanes[0], self.lanes[1]) = (first, second);
        few.iter().for_each(|word| self.mix(2, u64::from_le_bytes(*word)));
        let last = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        self.mix(3, last);
        self.words += words.len() as u64;
    }

    pub fn finish(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.lanes.iter().chain([&self.words]).for_each(|lane| hash.update(lane.to_le_bytes()));
        hash.finalize().into()
    }

    /// Each step can be undone, so that no earlier difference disappears.
    fn mix(&mut self, lane: usize, word: u64) {
        let mixed = (self.lanes[lane] ^ word).wrapping_mul(ODD[lane]);
        self.lanes[lane] = mixed ^ (mixed >> 29);
    }
}

/// Both halves of a product.
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    product as u64 ^ (product >> 64) as u64
}
