//! Views of matrices in memory, and their products on one thread or several.

use std::marker::PhantomData;

use super::memory::Blank;

/// A product of fewer multiplications than this is not worth a second thread: waking one takes as
/// long (about ten microseconds).
const WORTH_A_THREAD: usize = 1 << 19;

/// A single product of fewer multiplications is done on one thread (in about a tenth of a millisecond). A
/// second one makes a step of such products a tenth faster on an idle machine, and half as slow again or more
/// on a busy one, where it waits for its turn.
const TOO_SMALL_TO_SHARE: usize = 1 << 23;

/// A matrix to read: any strides.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Mat<'a> {
    /// The first `rows` rows of `cols` elements in `data`, `row_stride` apart.
    pub(crate) fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(rows == 0 || cols == 0 || (rows - 1) * row_stride + cols <= data.len());
        Self {
            data,
            rows,
            cols,
            row_stride,
            col_stride: 1,
        }
    }

    /// Row after row without gaps.
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Its transpose.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// Rows `start..start + rows`.
    pub(crate) fn rows(self, start: usize, rows: usize) -> Self {
        assert!(start + rows <= self.rows);
        // An empty part may begin past the end.
        let from = (start * self.row_stride).min(self.data.len());
        Self {
            data: &self.data[from..],
            rows,
            ..self
        }
    }

    /// Columns `start..start + cols`.
    pub(crate) fn columns(self, start: usize, cols: usize) -> Self {
        self.t().rows(start, cols).t()
    }

    /// One row of a matrix whose rows have no gaps.
    pub(crate) fn row(self, row: usize) -> &'a [f32] {
        assert!(self.col_stride == 1);
        &self.data[row * self.row_stride..][..self.cols]
    }
}

/// A matrix to write, of numbers or of room for them: rows may lie apart, their elements do not.
pub(crate) struct MatMut<'a, T = f32> {
    data: *mut T,
    rows: usize,
    cols: usize,
    row_stride: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: a view has its elements to itself, as `&mut [T]` has.
#[expect(unsafe_code, reason = "parts of a matrix go to several threads")]
unsafe impl<T: Send> Send for MatMut<'_, T> {}

#[expect(
    unsafe_code,
    reason = "columns of a matrix are no slice, so disjoint parts need a pointer"
)]
impl<'a, T> MatMut<'a, T> {
    /// The first `rows` rows of `cols` elements in `data`, `row_stride` apart.
    pub(crate) fn strided(data: &'a mut [T], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(rows == 0 || cols == 0 || (rows - 1) * row_stride + cols <= data.len());
        assert!(rows <= 1 || cols <= row_stride, "rows overlap");
        Self {
            data: data.as_mut_ptr(),
            rows,
            cols,
            row_stride,
            owner: PhantomData,
        }
    }

    /// Row after row without gaps.
    pub(crate) fn new(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// The same view for a shorter time.
    pub(crate) fn reborrow(&mut self) -> MatMut<'_, T> {
        MatMut {
            owner: PhantomData,
            ..*self
        }
    }

    /// One row.
    pub(crate) fn row(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.rows);
        // SAFETY: the constructor checked that every row lies in the slice, and `&mut self` keeps
        // others away.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(row * self.row_stride), self.cols) }
    }

    /// Rows before `row` and rows from it on.
    pub(crate) fn split_rows(self, row: usize) -> (Self, Self) {
        assert!(row <= self.rows);
        let upper = Self { rows: row, ..self };
        let lower = Self {
            // SAFETY: `wrapping_add` does not read, and an empty part is never read.
            data: self.data.wrapping_add(row * self.row_stride),
            rows: self.rows - row,
            ..self
        };
        (upper, lower)
    }

    /// Columns before `col` and columns from it on.
    pub(crate) fn split_cols(self, col: usize) -> (Self, Self) {
        assert!(col <= self.cols);
        let left = Self { cols: col, ..self };
        let right = Self {
            data: self.data.wrapping_add(col),
            cols: self.cols - col,
            ..self
        };
        (left, right)
    }

    /// Rows `start..start + rows`.
    pub(crate) fn some_rows(&mut self, start: usize, rows: usize) -> MatMut<'_, T> {
        let (_, below) = self.reborrow().split_rows(start);
        below.split_rows(rows).0
    }

    /// The matrix cut into parts of equally many columns.
    pub(crate) fn into_columns(self, cols: usize) -> Vec<Self> {
        let mut rest = self;
        let count = rest.cols.checked_div(cols).unwrap_or(0);
        let mut parts = Vec::with_capacity(count);
        for _ in 0..count {
            let (part, after) = rest.split_cols(cols);
            parts.push(part);
            rest = after;
        }
        parts
    }

    /// All elements of rows without gaps.
    pub(crate) fn into_slice(self) -> &'a mut [T] {
        assert!(self.cols == self.row_stride || self.rows <= 1);
        // SAFETY: as in `row`; without gaps the rows are one slice.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.rows * self.cols) }
    }

    /// Number of rows.
    pub(crate) fn num_rows(&self) -> usize {
        self.rows
    }
}

impl<'a> MatMut<'a, Blank> {
    /// The matrix, now that it is written.
    ///
    /// # Safety
    ///
    /// Every element was written.
    #[expect(unsafe_code, reason = "what wrote it is known to the caller only")]
    pub(crate) unsafe fn assume_written(self) -> MatMut<'a> {
        MatMut {
            data: self.data.cast(),
            rows: self.rows,
            cols: self.cols,
            row_stride: self.row_stride,
            owner: PhantomData,
        }
    }
}

/// `out = scale·a·b` on this thread; `out` is then written.
#[expect(unsafe_code, reason = "the product is what writes it")]
pub(crate) fn product<'a>(
    mut out: MatMut<'a, Blank>,
    scale: f32,
    a: Mat<'_>,
    b: Mat<'_>,
) -> MatMut<'a> {
    multiply(&mut out, false, scale, a, b);
    // SAFETY: every element is written, with zero where it is a sum of nothing.
    unsafe { out.assume_written() }
}

/// `out += scale·a·b` on this thread.
pub(crate) fn add_product(mut out: MatMut<'_>, scale: f32, a: Mat<'_>, b: Mat<'_>) {
    multiply(&mut out, true, scale, a, b);
}

/// Of numbers, or of room for them where nothing is added to.
#[expect(unsafe_code, reason = "the crate gemm takes pointers and strides")]
fn multiply<T>(out: &mut MatMut<'_, T>, adds: bool, scale: f32, a: Mat<'_>, b: Mat<'_>) {
    assert!(size_of::<T>() == size_of::<f32>());
    assert!(a.cols == b.rows && out.rows == a.rows && out.cols == b.cols);
    if out.rows == 0 || out.cols == 0 {
        return;
    }
    // SAFETY: the shapes agree, and each view was checked against its slice when it was made. What
    // is not added to is not read.
    unsafe {
        gemm::gemm(
            out.rows,
            out.cols,
            a.cols,
            out.data.cast::<f32>(),
            1,
            out.row_stride as isize,
            adds,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// `out = a·b` on all threads, every element of it. The parts do not depend on how many there are to
/// a degree that a sum would: each element is summed by one thread, in one order.
pub(crate) fn product_threaded(out: MatMut<'_, Blank>, a: Mat<'_>, b: Mat<'_>) {
    let threads = threads_for_product(a.rows * a.cols * b.cols);
    split_product(out, a, b, threads);
}

/// How many threads one product is worth.
pub(crate) fn threads_for_product(multiplications: usize) -> usize {
    if multiplications < TOO_SMALL_TO_SHARE {
        1
    } else {
        threads_for(multiplications)
    }
}

fn split_product(out: MatMut<'_, Blank>, a: Mat<'_>, b: Mat<'_>, threads: usize) {
    if threads <= 1 || (out.rows <= 16 && out.cols <= 16) {
        product(out, 1.0, a, b);
        return;
    }
    let first = threads / 2;
    let part = |whole: usize| (whole * first / threads).next_multiple_of(16).min(whole);
    if out.rows >= out.cols {
        let (rows, all) = (part(out.rows), a.rows);
        let (upper, lower) = out.split_rows(rows);
        rayon::join(
            || split_product(upper, a.rows(0, rows), b, first),
            || split_product(lower, a.rows(rows, all - rows), b, threads - first),
        );
    } else {
        let (cols, all) = (part(out.cols), b.cols);
        let (left, right) = out.split_cols(cols);
        rayon::join(
            || split_product(left, a, b.columns(0, cols), first),
            || split_product(right, a, b.columns(cols, all - cols), threads - first),
        );
    }
}

/// How many threads some work is worth, given in multiplications.
pub(crate) fn threads_for(multiplications: usize) -> usize {
    rayon::current_num_threads().min(1 + multiplications / WORTH_A_THREAD)
}

/// Calls `work` with parts of the rows of matrices that are equally tall, side by side on as many
/// `threads`, and with the number of each part's first row.
pub(crate) fn over_rows<T: Send, const N: usize>(
    whole: [MatMut<'_, T>; N],
    rows_per_part: usize,
    threads: usize,
    work: &(impl Fn(usize, [MatMut<'_, T>; N]) + Sync),
) {
    share(whole, 0, rows_per_part.max(1), threads, work);
}

fn share<T: Send, const N: usize>(
    mut whole: [MatMut<'_, T>; N],
    mut first: usize,
    rows_per_part: usize,
    threads: usize,
    work: &(impl Fn(usize, [MatMut<'_, T>; N]) + Sync),
) {
    let parts = whole[0].rows.div_ceil(rows_per_part);
    if threads <= 1 {
        for _ in 0..parts {
            let rows = rows_per_part.min(whole[0].rows);
            let (part, rest) = split_all(whole, rows);
            work(first, part);
            (whole, first) = (rest, first + rows);
        }
        return;
    }
    let rows = (parts / 2 * rows_per_part).min(whole[0].rows);
    let (upper, lower) = split_all(whole, rows);
    rayon::join(
        || share(upper, first, rows_per_part, threads / 2, work),
        || {
            let threads = threads - threads / 2;
            share(lower, first + rows, rows_per_part, threads, work);
        },
    );
}

type Parts<'a, T, const N: usize> = [MatMut<'a, T>; N];

fn split_all<T, const N: usize>(
    whole: Parts<'_, T, N>,
    row: usize,
) -> (Parts<'_, T, N>, Parts<'_, T, N>) {
    let mut lower = [const { None }; N];
    let mut halves = lower.iter_mut();
    let upper = whole.map(|matrix| {
        let (upper, rest) = matrix.split_rows(row);
        if let Some(half) = halves.next() {
            *half = Some(rest);
        }
        upper
    });
    let lower = lower.map(|half| match half {
        Some(half) => half,
        None => unreachable!("each matrix has given its half"),
    });
    (upper, lower)
}

/// The fewest of `items` that rayon shall hand to a thread: a few times for each thread, so that
/// they end together, and all of them where one thread is enough, so that no other is woken.
pub(crate) fn grain(threads: usize, items: usize) -> usize {
    if threads > 1 {
        (items / (4 * threads)).max(1)
    } else {
        usize::MAX
    }
}
