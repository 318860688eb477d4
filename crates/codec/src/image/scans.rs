//! Whether a JPEG has all the data of its scans: what is missing in the middle, a decoder makes up in
//! grey, in silence.
//!
//! The Huffman codes are followed without a pixel being made (ITU-T T.81, F.2.2 and G.2). What is odd
//! in any other way is the decoder's to judge, and passes here.

/// Why the codes cannot be followed any further.
enum Stop {
    /// The data ends, or the image does.
    Missing,
    /// Something else; there may be nothing wrong with it.
    Odd,
}

/// Whether data is missing, of a file that has no more pixels than may be decoded.
pub(crate) fn is_cut(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xd8\xff") && matches!(Scans::new(bytes).follow(), Err(Stop::Missing))
}

/// One of the components of a picture: brightness, or a colour.
struct Component {
    id: u8,
    /// Blocks of an MCU, across and down.
    sampling: [usize; 2],
    /// Which coefficients of each block are not 0, a bit each.
    nonzero: Vec<u64>,
    has_dc: bool,
}

/// What a scan has.
struct Scan {
    /// Component, and its tables for the first coefficient and for the others.
    parts: Vec<(usize, usize, usize)>,
    /// First and last coefficient.
    band: [usize; 2],
    /// Whether further bits are told of coefficients that are known.
    refines: bool,
}

struct Scans<'a> {
    bits: Bits<'a>,
    tables: [[Option<Table>; 4]; 2],
    components: Vec<Component>,
    /// Width and height in pixels.
    size: [usize; 2],
    is_progressive: bool,
    restart_interval: usize,
}

impl<'a> Scans<'a> {
    fn new(jpeg: &'a [u8]) -> Self {
        Self {
            bits: Bits {
                bytes: jpeg,
                at: 2,
                buffer: 0,
                count: 0,
            },
            tables: Default::default(),
            components: Vec::new(),
            size: [0, 0],
            is_progressive: false,
            restart_interval: 0,
        }
    }

    /// Goes from segment to segment, and through the scans.
    fn follow(&mut self) -> Result<(), Stop> {
        loop {
            let marker = self.bits.next_marker().ok_or(Stop::Missing)?;
            if marker == 0xd9 {
                let complete = self.components.iter().all(|component| component.has_dc);
                return if complete { Ok(()) } else { Err(Stop::Missing) };
            }
            if matches!(marker, 0x01 | 0xd0..=0xd8) {
                continue;
            }
            let body = self.bits.segment()?;
            match marker {
                0xc0..=0xc2 => self.frame(marker, body)?,
                0xc4 => self.tables(body)?,
                0xdd => self.restart_interval = number(body)?,
                0xda => {
                    let scan = self.scan(body)?;
                    self.follow_scan(&scan)?;
                }
                // Arithmetic codes, frames of other kinds, a height that comes later.
                0xc3..=0xcf | 0xdc => return Err(Stop::Odd),
                _ => {}
            }
        }
    }

    fn frame(&mut self, marker: u8, body: &[u8]) -> Result<(), Stop> {
        let [8, h1, h0, w1, w0, count, components @ ..] = body else {
            return Err(Stop::Odd);
        };
        let is_sound = (1..=4).contains(count) && components.len() == 3 * usize::from(*count);
        if !self.components.is_empty() || !is_sound {
            return Err(Stop::Odd);
        }
        self.is_progressive = marker == 0xc2;
        self.size = [[*w1, *w0], [*h1, *h0]].map(|side| usize::from(u16::from_be_bytes(side)));
        for component in components.as_chunks::<3>().0 {
            let sampling = [component[1] >> 4, component[1] & 15].map(usize::from);
            if sampling.iter().any(|blocks| !(1..=4).contains(blocks)) {
                return Err(Stop::Odd);
            }
            self.components.push(Component {
                id: component[0],
                sampling,
                nonzero: Vec::new(),
                has_dc: false,
            });
        }
        Ok(())
    }

    fn tables(&mut self, mut body: &[u8]) -> Result<(), Stop> {
        while let [kind, rest @ ..] = body {
            let (lengths, rest) = rest.split_first_chunk::<16>().ok_or(Stop::Odd)?;
            let count = lengths.iter().map(|count| usize::from(*count)).sum();
            let (symbols, rest) = rest.split_at_checked(count).ok_or(Stop::Odd)?;
            let of_class = self.tables.get_mut(usize::from(kind >> 4));
            let place = of_class.and_then(|tables| tables.get_mut(usize::from(kind & 15)));
            *place.ok_or(Stop::Odd)? = Some(Table::new(lengths, symbols)?);
            body = rest;
        }
        Ok(())
    }

    fn scan(&self, body: &[u8]) -> Result<Scan, Stop> {
        let (count, rest) = body.split_first().ok_or(Stop::Odd)?;
        let (parts, rest) = rest
            .split_at_checked(2 * usize::from(*count))
            .ok_or(Stop::Odd)?;
        let part = |part: &[u8; 2]| {
            let found = self.components.iter().position(|it| it.id == part[0]);
            let [dc, ac] = [part[1] >> 4, part[1] & 15].map(usize::from);
            Ok((found.ok_or(Stop::Odd)?, dc, ac))
        };
        let parts = parts
            .as_chunks::<2>()
            .0
            .iter()
            .map(part)
            .collect::<Result<Vec<_>, _>>()?;
        let [first, last, approximation] = rest else {
            return Err(Stop::Odd);
        };
        let band = match self.is_progressive {
            true => [*first, *last].map(usize::from),
            false => [0, 63],
        };
        let is_sound = band[0] <= band[1] && band[1] < 64;
        // Where it is progressive, the first coefficient has scans of its own.
        let is_apart = !self.is_progressive || (band[0] == 0) == (band[1] == 0);
        if parts.is_empty() || !is_sound || !is_apart || (band[0] > 0 && parts.len() > 1) {
            return Err(Stop::Odd);
        }
        Ok(Scan {
            parts,
            band,
            refines: self.is_progressive && approximation >> 4 > 0,
        })
    }

    /// Follows the codes of all blocks of a scan.
    fn follow_scan(&mut self, scan: &Scan) -> Result<(), Stop> {
        let most = |side: usize| self.components.iter().map(|it| it.sampling[side]).max();
        let most = [most(0).unwrap_or(1), most(1).unwrap_or(1)];
        // A scan of one component has its blocks row by row, and none that only fill an MCU.
        let single = match scan.parts[..] {
            [(component, ..)] => Some(component),
            _ => None,
        };
        let [across, down] = [0, 1].map(|side| match single {
            Some(component) => {
                let own = self.components[component].sampling[side];
                (self.size[side] * own).div_ceil(most[side]).div_ceil(8)
            }
            None => self.size[side].div_ceil(8 * most[side]),
        });
        let num_mcus = across * down;
        if let Some(component) = single.filter(|_| self.is_progressive) {
            self.components[component].nonzero.resize(num_mcus, 0);
        }
        for (component, ..) in scan.parts.iter().filter(|_| scan.band[0] == 0) {
            self.components[*component].has_dc = true;
        }
        self.bits.restart();
        let mut end_run = 0;
        for mcu in 0..num_mcus {
            if mcu > 0 && self.restart_interval > 0 && mcu % self.restart_interval == 0 {
                self.bits.pass_restart()?;
                end_run = 0;
            }
            for (component, dc, ac) in &scan.parts {
                let [h, v] = self.components[*component].sampling;
                let blocks = if single.is_some() { 1 } else { h * v };
                let tables = [&self.tables[0], &self.tables[1]];
                let table = |class: usize, at: usize| {
                    let table = tables[class].get(at).and_then(Option::as_ref);
                    table.ok_or(Stop::Odd)
                };
                for _ in 0..blocks {
                    if scan.band[0] > 0 {
                        let nonzero = &mut self.components[*component].nonzero[mcu];
                        let table = table(1, *ac)?;
                        if scan.refines {
                            self.bits
                                .refined_block(table, scan.band, nonzero, &mut end_run)?;
                        } else {
                            self.bits
                                .first_block(table, scan.band, nonzero, &mut end_run)?;
                        }
                    } else if scan.refines {
                        self.bits.take(1)?;
                    } else {
                        let length = self.bits.symbol(table(0, *dc)?)?;
                        self.bits.take(u32::from(length & 15))?;
                        if !self.is_progressive {
                            let mut nonzero = 0;
                            self.bits
                                .first_block(table(1, *ac)?, [1, 63], &mut nonzero, &mut 0)?;
                        }
                    }
                }
            }
        }
        self.bits.restart();
        Ok(())
    }
}

fn number(body: &[u8]) -> Result<usize, Stop> {
    let bytes = body.first_chunk::<2>().ok_or(Stop::Odd)?;
    Ok(usize::from(u16::from_be_bytes(*bytes)))
}

/// A Huffman table: which symbol a code stands for.
struct Table {
    /// By the next bits: length of the code, and symbol; 0 where the code is longer.
    short: [(u8, u8); 1 << Self::SHORT],
    /// By length: the first code of the next length, in 16 bits, and what to add for its symbol.
    ends: [u32; 17],
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

impl Table {
    const SHORT: u32 = 8;

    fn new(lengths: &[u8; 16], symbols: &[u8]) -> Result<Self, Stop> {
        let mut table = Self {
            short: [(0, 0); 1 << Self::SHORT],
            ends: [0; 17],
            offsets: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut at) = (0_u32, 0_usize);
        for (length, count) in (1..).zip(lengths.map(usize::from)) {
            let shift = 16 - length;
            table.offsets[length as usize] = at as i32 - (code >> shift) as i32;
            for symbol in &symbols[at..at + count] {
                if length <= Self::SHORT {
                    let first = (code >> (16 - Self::SHORT)) as usize;
                    let width = 1 << (Self::SHORT - length);
                    let places = table.short.get_mut(first..first + width).ok_or(Stop::Odd)?;
                    places.fill((length as u8, *symbol));
                }
                code += 1 << shift;
            }
            at += count;
            table.ends[length as usize] = code;
        }
        if code > 1 << 16 {
            Err(Stop::Odd)
        } else {
            Ok(table)
        }
    }

    /// Length and symbol of the code that 16 bits begin with.
    fn find(&self, bits: u32) -> Option<(u32, u8)> {
        let (length, symbol) = self.short[(bits >> (16 - Self::SHORT)) as usize];
        if length > 0 {
            return Some((u32::from(length), symbol));
        }
        let length = (Self::SHORT + 1..=16).find(|length| bits < self.ends[*length as usize])?;
        let at = (bits >> (16 - length)) as i32 + self.offsets[length as usize];
        Some((length, *self.symbols.get(at as usize)?))
    }
}

/// The bits of scans, and the segments between them.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits are the upper ones of the lowest `count`.
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    /// The second byte of the next marker, which is passed.
    fn next_marker(&mut self) -> Option<u8> {
        loop {
            let pair = self.bytes.get(self.at..self.at + 2)?;
            match pair {
                [0xff, 0xff] => self.at += 1,
                [0xff, marker] if *marker > 0 => {
                    self.at += 2;
                    return Some(*marker);
                }
                _ => self.at += 1,
            }
        }
    }

    /// What a segment holds, behind its marker.
    fn segment(&mut self) -> Result<&'a [u8], Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.first_chunk::<2>().ok_or(Stop::Missing)?;
        let length = usize::from(u16::from_be_bytes(*length)).max(2);
        let body = rest.get(2..length).ok_or(Stop::Missing)?;
        self.at += length;
        Ok(body)
    }

    fn restart(&mut self) {
        (self.buffer, self.count) = (0, 0);
    }

    /// Goes to behind the marker between two intervals.
    fn pass_restart(&mut self) -> Result<(), Stop> {
        self.restart();
        match self.next_marker() {
            Some(0xd0..=0xd7) => Ok(()),
            _ => Err(Stop::Missing),
        }
    }

    fn refill(&mut self) {
        while self.count <= 48 {
            let byte = match self.bytes.get(self.at..) {
                Some([0xff, 0, ..]) => {
                    self.at += 1;
                    0xff
                }
                // A marker.
                Some([0xff, ..]) | Some([]) | None => return,
                Some([byte, ..]) => *byte,
            };
            self.at += 1;
            self.buffer = self.buffer << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// What it means that the bits are at an end.
    fn ended(&self) -> Stop {
        let mut rest = self.bytes.get(self.at..).unwrap_or_default().iter();
        match rest.find(|byte| **byte != 0xff) {
            // Damage between two intervals, from which decoders go on.
            Some(0xd0..=0xd7) => Stop::Odd,
            _ => Stop::Missing,
        }
    }

    fn take(&mut self, count: u32) -> Result<u32, Stop> {
        if self.count < count {
            self.refill();
            if self.count < count {
                return Err(self.ended());
            }
        }
        self.count -= count;
        Ok((self.buffer >> self.count) as u32 & ((1 << count) - 1))
    }

    fn symbol(&mut self, table: &Table) -> Result<u8, Stop> {
        if self.count < 16 {
            self.refill();
        }
        // Behind the end, zeros.
        let bits = match self.count.checked_sub(16) {
            Some(rest) => self.buffer >> rest,
            None => self.buffer << (16 - self.count),
        };
        let (length, symbol) = table.find(bits as u32 & 0xffff).ok_or(Stop::Odd)?;
        if length > self.count {
            return Err(self.ended());
        }
        self.count -= length;
        Ok(symbol)
    }

    /// The coefficients of a block that are told for the first time.
    fn first_block(
        &mut self,
        table: &Table,
        [first, last]: [usize; 2],
        nonzero: &mut u64,
        end_run: &mut u32,
    ) -> Result<(), Stop> {
        if *end_run > 0 {
            *end_run -= 1;
            return Ok(());
        }
        let mut at = first;
        while at <= last {
            let symbol = self.symbol(table)?;
            let (run, length) = (symbol >> 4, symbol & 15);
            at += usize::from(run);
            if length > 0 {
                self.take(u32::from(length))?;
                *nonzero |= 1_u64.checked_shl(at as u32).unwrap_or(0);
            } else if run < 15 {
                *end_run = (1 << run) - 1 + self.take(u32::from(run))?;
                return Ok(());
            }
            at += 1;
        }
        Ok(())
    }

    /// One more bit of the coefficients of a block that are known, and those that become known by it.
    fn refined_block(
        &mut self,
        table: &Table,
        [first, last]: [usize; 2],
        nonzero: &mut u64,
        end_run: &mut u32,
    ) -> Result<(), Stop> {
        let mut at = first;
        while at <= last && *end_run == 0 {
            let symbol = self.symbol(table)?;
            let (mut run, length) = (symbol >> 4, symbol & 15);
            if length == 0 && run < 15 {
                *end_run = (1 << run) + self.take(u32::from(run))?;
                break;
            }
            if length > 0 {
                self.take(1)?;
            }
            while at <= last {
                if *nonzero >> at & 1 == 1 {
                    self.take(1)?;
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                at += 1;
            }
            if length > 0 && at <= last {
                *nonzero |= 1 << at;
            }
            at += 1;
        }
        if *end_run > 0 {
            let band = if at <= last { *nonzero >> at << at } else { 0 };
            let band = band << (63 - last) >> (63 - last);
            for _ in 0..band.count_ones() {
                self.take(1)?;
            }
            *end_run -= 1;
        }
        Ok(())
    }
}
