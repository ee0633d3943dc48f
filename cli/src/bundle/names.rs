//! The names of functions that a WebAssembly module carries, which say in logs where a worker has
//! failed. Each ends in a hash that says nothing to anybody and cannot be compressed: of an upload,
//! all of them together are twenty kilobytes.

/// How long a hash is, with what stands before it: `::h` and 16 digits.
const HASH: usize = 19;

const MAGIC: usize = 8;
const CUSTOM: u8 = 0;
const FUNCTIONS: u8 = 1;

/// The module without the hashes; nothing if it is not of the form that is known.
pub fn without_hashes(module: &[u8]) -> Option<Vec<u8>> {
    let (magic, mut rest) = module.split_at_checked(MAGIC)?;
    let mut shorter = magic.to_vec();
    while !rest.is_empty() {
        let (id, content) = part(&mut rest)?;
        match content.strip_prefix(b"\x04name") {
            Some(names) if id == CUSTOM => {
                let names = [b"\x04name", &*name_section(names)?].concat();
                put(&mut shorter, id, &names);
            }
            _ => put(&mut shorter, id, content),
        }
    }
    Some(shorter)
}

fn name_section(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut shorter = Vec::new();
    while !rest.is_empty() {
        let (id, content) = part(&mut rest)?;
        match id {
            FUNCTIONS => put(&mut shorter, id, &function_names(content)?),
            _ => put(&mut shorter, id, content),
        }
    }
    Some(shorter)
}

fn function_names(mut rest: &[u8]) -> Option<Vec<u8>> {
    let count = number(&mut rest)?;
    let mut shorter = Vec::new();
    put_number(&mut shorter, count);
    for _ in 0..count {
        let function = number(&mut rest)?;
        let name = without_hash(bytes(&mut rest)?);
        put_number(&mut shorter, function);
        put_number(&mut shorter, name.len());
        shorter.extend_from_slice(name);
    }
    Some(shorter)
}

fn without_hash(name: &[u8]) -> &[u8] {
    let Some((start, hash)) = name.split_at_checked(name.len().saturating_sub(HASH)) else {
        return name;
    };
    let digits = hash.strip_prefix(b"::h");
    match digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
        true => start,
        false => name,
    }
}

/// Takes a section: its number and its content.
fn part<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (id, behind) = rest.split_first()?;
    *rest = behind;
    Some((*id, bytes(rest)?))
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest)?;
    let (taken, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(taken)
}

/// Takes a number in LEB128, of at most 32 bits.
fn number(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= usize::from(byte & 127) << shift;
        if *byte < 128 {
            return Some(number);
        }
    }
    None
}

fn put(to: &mut Vec<u8>, id: u8, content: &[u8]) {
    to.push(id);
    put_number(to, content.len());
    to.extend_from_slice(content);
}

fn put_number(to: &mut Vec<u8>, mut number: usize) {
    while number > 127 {
        to.push((number & 127) as u8 | 128);
        number >>= 7;
    }
    to.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(names: &[&str]) -> Vec<u8> {
        let mut functions = Vec::new();
        put_number(&mut functions, names.len());
        for (n, name) in names.iter().enumerate() {
            put_number(&mut functions, n + 200);
            put_number(&mut functions, name.len());
            functions.extend_from_slice(name.as_bytes());
        }
        let mut section = b"\x04name".to_vec();
        put(&mut section, 0, b"\x01m");
        put(&mut section, FUNCTIONS, &functions);
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        put(&mut module, 10, &[7; 300]);
        put(&mut module, CUSTOM, &section);
        put(&mut module, CUSTOM, b"\x05other::h0123456789abcdef");
        module
    }

    #[test]
    fn only_the_hashes_of_functions_go() {
        let long = "a".repeat(200);
        let before = module(&[
            "std::rt::run::h0123456789abcdef",
            "js_sys::now::__wbg_now_463ac581d2fc7ea3",
            "h::h0123456789abcdeg",
            &format!("{long}::h0123456789abcdef"),
            "",
        ]);
        let after = module(&[
            "std::rt::run",
            "js_sys::now::__wbg_now_463ac581d2fc7ea3",
            "h::h0123456789abcdeg",
            &long,
            "",
        ]);
        assert_eq!(without_hashes(&before), Some(after.clone()));
        assert_eq!(without_hashes(&after), Some(after));
    }

    #[test]
    fn what_is_no_module_stays_as_it_is() {
        let whole = module(&["a"]);
        for end in [0, 7, 9, 100, whole.len() - 30] {
            assert_eq!(without_hashes(&whole[..end]), None, "{end}");
        }
    }
}
