//! Examples, and how they are changed.

use fastrand::Rng;

/// What breaks parsers that were not written with it in mind.
const ODD: &[&str] = &[
    "",
    " ",
    "\0",
    "\r\n",
    "\n",
    "\t",
    "%",
    "%00",
    "%2F",
    "%2f",
    "%25",
    "%252F",
    "%2e%2e",
    "/",
    "//",
    "/../",
    "/./",
    "..",
    ".",
    "\\",
    "?",
    "#",
    "&",
    "=",
    ";",
    ",",
    "\"",
    "'",
    "*",
    "-",
    "_",
    "+",
    "-1",
    "0",
    "00",
    "1e999",
    "9007199254740991",
    "9007199254740992",
    "18446744073709551616",
    "NaN",
    "null",
    "true",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "{\"a\":1}",
    "\u{fffd}",
    "\u{feff}",
    "é",
    "\u{202e}",
    "😀",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "/live",
    "/fork/",
    "now",
    "__ds",
];

/// The source of all chance in a case.
pub struct Noise(Rng);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// A number from 0 to `below`, without that.
    pub fn below(&mut self, below: usize) -> usize {
        self.0.usize(..below.max(1))
    }

    /// Whether something happens that does so `times` in a hundred.
    pub fn chance(&mut self, times: usize) -> bool {
        self.below(100) < times
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// Bytes without any meaning.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.0.u8(..)).collect()
    }

    /// One of the examples: often as it is, else changed here and there.
    pub fn bytes_like(&mut self, examples: &[&[u8]]) -> Vec<u8> {
        if self.chance(3) {
            return self.bytes(40);
        }
        let mut bytes = self.pick(examples).to_vec();
        if self.chance(25) {
            return bytes;
        }
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, examples);
        }
        bytes
    }

    /// The same as text: what is no UTF-8 comes as U+FFFD, as it does to a worker.
    pub fn text_like(&mut self, examples: &[&str]) -> String {
        let examples: Vec<&[u8]> = examples.iter().map(|text| text.as_bytes()).collect();
        String::from_utf8_lossy(&self.bytes_like(&examples)).into_owned()
    }

    /// The value of a header as a worker gets it: no line breaks, no space around.
    pub fn header_like(&mut self, examples: &[&str]) -> String {
        let text = self.text_like(examples);
        let text = text.replace(['\0', '\r', '\n'], "");
        text.trim_matches([' ', '\t']).to_owned()
    }

    fn range(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len() + 1);
        let length = self.below((bytes.len() - start).min(12) + 1);
        start..start + length
    }

    fn change(&mut self, bytes: &mut Vec<u8>, examples: &[&[u8]]) {
        let range = self.range(bytes);
        match self.below(9) {
            0 => drop(bytes.drain(range)),
            1 => {
                let odd = self.pick(ODD).bytes().collect::<Vec<_>>();
                bytes.splice(range.start..range.start, odd);
            }
            2 => {
                let odd = self.pick(ODD).bytes().collect::<Vec<_>>();
                bytes.splice(range, odd);
            }
            3 => {
                let again = bytes[range.clone()].repeat(1 + self.below(3));
                bytes.splice(range.end..range.end, again);
            }
            4 => {
                let noise = self.bytes(4);
                bytes.splice(range, noise);
            }
            5 => {
                if let Some(byte) = bytes.get_mut(range.start) {
                    *byte ^= 1 << self.below(8);
                }
            }
            6 => {
                let other = self.pick(examples);
                let piece = other[self.range(other)].to_vec();
                bytes.splice(range, piece);
            }
            7 => {
                if let Some(byte) = bytes.get_mut(range.start) {
                    *byte = b'0' + self.below(10) as u8;
                }
            }
            _ => {
                // Escaped, as a client may write it.
                let piece = &bytes[range.clone()];
                let escaped: String = piece.iter().map(|b| format!("%{b:02X}")).collect();
                bytes.splice(range, escaped.into_bytes());
            }
        }
    }
}
