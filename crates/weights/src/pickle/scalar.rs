//! Numbers and text as pickles spell them.

use std::io::{BufRead, Read};

use super::Value;

/// The longest text, line or number that is kept, in bytes: names have some hundred.
const LONGEST: u64 = 1 << 14;

/// What is no text, in the place of one that is too long.
const TOO_LONG: &[u8] = &[0xff; 9];

/// A number, or text.
pub(super) fn scalar(code: u8, input: &mut impl BufRead) -> Result<Value, String> {
    let int = |value: i64| Ok(Value::Int(value));
    match code {
        // INT, which also spells booleans, and LONG
        b'I' | b'L' => Ok(match line(input)?.trim_end_matches('L') {
            "00" => Value::Bool(false),
            "01" => Value::Bool(true),
            digits => digits.parse().map_or(Value::Nothing, Value::Int),
        }),
        b'F' => Ok((line(input)?.parse()).map_or(Value::Nothing, Value::Float)),
        b'G' => Ok(Value::Float(f64::from_be_bytes(bytes(input)?))),
        // BININT2, BININT
        b'M' => int(u16::from_le_bytes(bytes(input)?).into()),
        b'J' => int(i32::from_le_bytes(bytes(input)?).into()),
        // LONG1, LONG4
        0x8a => {
            let [length] = bytes(input)?;
            Ok(long(&many(input, length.into())?))
        }
        0x8b => {
            let length = u32::from_le_bytes(bytes(input)?);
            Ok(long(&many(input, length.into())?))
        }
        // UNICODE: escapes are kept as they are, for no tensor's name has any.
        b'V' => Ok(Value::Text(line(input)?.into())),
        // SHORT_BINUNICODE, SHORT_BINSTRING; BINUNICODE, BINSTRING; BINUNICODE8
        0x8c | b'U' => {
            let [length] = bytes(input)?;
            Ok(text(many(input, length.into())?))
        }
        b'X' | b'T' => {
            let length = u32::from_le_bytes(bytes(input)?);
            Ok(text(many(input, length.into())?))
        }
        0x8d => {
            let length = u64::from_le_bytes(bytes(input)?);
            Ok(text(many(input, length)?))
        }
        // SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8: no tensor is in them.
        b'C' => {
            let [length] = bytes(input)?;
            skip(input, length.into())
        }
        b'B' => {
            let length = u32::from_le_bytes(bytes(input)?);
            skip(input, length.into())
        }
        _ => {
            let length = u64::from_le_bytes(bytes(input)?);
            skip(input, length)
        }
    }
}

/// Two's complement, the lowest byte first; nothing where it does not fit.
fn long(bytes: &[u8]) -> Value {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    if bytes.len() > all.len() {
        return Value::Nothing;
    }
    all[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(all))
}

/// Bytes of Python 2's `str` need not be text.
fn text(bytes: Vec<u8>) -> Value {
    String::from_utf8(bytes).map_or(Value::Nothing, |text| Value::Text(text.into()))
}

pub(super) fn bytes<const N: usize>(input: &mut impl BufRead) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes).map_err(cut_off)?;
    Ok(bytes)
}

/// As many bytes as the pickle claims, of which no more is set aside than there are; none of a text too
/// long to be a name, which is passed over.
fn many(input: &mut impl BufRead, length: u64) -> Result<Vec<u8>, String> {
    if length > LONGEST {
        skip(input, length)?;
        return Ok(TOO_LONG.into());
    }
    let mut bytes = Vec::new();
    input
        .by_ref()
        .take(length)
        .read_to_end(&mut bytes)
        .map_err(cut_off)?;
    if bytes.len() as u64 != length {
        return Err("a pickle was cut off".into());
    }
    Ok(bytes)
}

fn skip(input: &mut impl BufRead, length: u64) -> Result<Value, String> {
    let skipped =
        std::io::copy(&mut input.by_ref().take(length), &mut std::io::sink()).map_err(cut_off)?;
    if skipped != length {
        return Err("a pickle was cut off".into());
    }
    Ok(Value::Nothing)
}

pub(super) fn line(input: &mut impl BufRead) -> Result<String, String> {
    let mut line = Vec::new();
    let read = input.by_ref().take(LONGEST).read_until(b'\n', &mut line);
    if read.map_err(cut_off)? as u64 == LONGEST {
        return Err(format!(
            "not a pickle, or damaged: a line of {LONGEST} bytes and more"
        ));
    }
    if line.pop() != Some(b'\n') {
        return Err("a pickle was cut off".into());
    }
    String::from_utf8(line).map_err(|_| "not a pickle, or damaged: a name is not text".into())
}

pub(super) fn number(line: &str) -> Result<u32, String> {
    line.parse()
        .map_err(|_| format!("not a pickle, or damaged: {line:.20?} is no number"))
}

fn cut_off(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "a pickle was cut off".into(),
        _ => error.to_string(),
    }
}
