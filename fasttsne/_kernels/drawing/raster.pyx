"""Points as discs in a picture: coverage summed for each pixel, then shaded.

A disc of radius r covers the pixel at distance d from its center by
c = min(1, max(0, r + 1/2 - d)), which is the area of the overlap to within a few
per cent and moves smoothly with the point.  A pixel keeps W = sum c and
S = sum c color.  Its shade is that of W discs of one opacity, laid over each
other in any order: alpha = 1 - (1 - opacity)^W of the mean color S / W, the
rest background.  Cost: O(n r^2 + pixels).
"""

from libc.math cimport ceil, exp, floor, log1p, sqrt
from libc.stdint cimport int32_t, uint8_t


def splat(
    const float[:, ::1] points,  # IN (n, 2), any units; those that are not finite are left out
    const int32_t[::1] codes,  # IN (n,), rows of the table
    const float[:, ::1] table,  # IN (m, 4): red, green, blue, 1
    double scale,  # pixels a unit of the map
    double left,  # pixel coordinates of the map's origin; a pixel i spans [i, i + 1)
    double top,
    double radius,  # pixels
    float[:, :, ::1] sums,  # INOUT (height, width, 4): S and W
):
    """Add the discs of all points to the sums; y goes up in the map and down in the picture."""
    cdef Py_ssize_t n = points.shape[0], height = sums.shape[0], width = sums.shape[1]
    cdef Py_ssize_t i
    with nogil:
        for i in range(n):
            add_disc(left + scale * points[i, 0], top - scale * points[i, 1], radius,
                     &table[codes[i], 0], &sums[0, 0, 0], height, width)


cdef inline void add_disc(
    double x, double y, double radius, const float *color, float *sums, Py_ssize_t height,
    Py_ssize_t width,
) noexcept nogil:
    cdef double reach = radius + 0.5
    cdef float dx, dy, square, cover
    cdef float far = <float> (reach * reach), edge = <float> reach
    cdef Py_ssize_t row, column, c, first_row, first_column, last_row, last_column
    cdef float *pixel
    if not (-reach < x < width + reach and -reach < y < height + reach):
        return
    # centers of pixels, at i + 1/2, that are nearer than the reach
    first_row = max(<Py_ssize_t> ceil(y - reach - 0.5), 0)
    last_row = min(<Py_ssize_t> floor(y + reach - 0.5), height - 1)
    first_column = max(<Py_ssize_t> ceil(x - reach - 0.5), 0)
    last_column = min(<Py_ssize_t> floor(x + reach - 0.5), width - 1)
    for row in range(first_row, last_row + 1):
        dy = <float> (row + 0.5 - y)
        for column in range(first_column, last_column + 1):
            dx = <float> (column + 0.5 - x)
            square = dx * dx + dy * dy
            if square >= far:
                continue
            cover = min(edge - sqrt(square), <float> 1)
            pixel = sums + 4 * (row * width + column)
            for c in range(4):
                pixel[c] += cover * color[c]


def shade(
    float[:, :, ::1] sums,  # INOUT (height, width, 4): S and W; zero afterwards
    const uint8_t[:, :, :] background,  # IN (height, width, 3), contiguous within a row
    double opacity,  # of one disc, in [0, 1)
    uint8_t[:, :, :] picture,  # OUT (height, width, 3), contiguous within a row
):
    """Turn the sums into colors. O(pixels)."""
    cdef Py_ssize_t height = sums.shape[0], width = sums.shape[1], row
    cdef double rate = log1p(-opacity)
    with nogil:
        for row in range(height):
            shade_row(&sums[row, 0, 0], &background[row, 0, 0], rate, &picture[row, 0, 0], width)


cdef void shade_row(
    float *pixel, const uint8_t *below, double rate, uint8_t *out, Py_ssize_t width
) noexcept nogil:
    cdef Py_ssize_t _, c
    cdef float alpha, share
    for _ in range(width):
        if pixel[3] == 0:
            for c in range(3):
                out[c] = below[c]
        else:
            alpha = <float> (1 - exp(rate * pixel[3]))
            share = alpha / pixel[3]
            for c in range(3):
                out[c] = <uint8_t> ((1 - alpha) * below[c] + share * pixel[c] + <float> 0.5)
            for c in range(4):
                pixel[c] = 0
        pixel += 4
        below += 3
        out += 3


def look_up(
    const uint8_t[:, :, ::1] picture,  # IN (height, width, 3)
    const uint8_t[:, :, ::1] table,  # IN (32, 32, 32), by the five leading bits of each color
    uint8_t[:, ::1] indices,  # OUT (height, width)
):
    """Write the number in a palette of each pixel's color. O(pixels)."""
    cdef Py_ssize_t n_pixels = indices.shape[0] * indices.shape[1], i
    cdef const uint8_t *pixel = &picture[0, 0, 0]
    cdef uint8_t *out = &indices[0, 0]
    with nogil:
        for i in range(n_pixels):
            out[i] = table[pixel[0] >> 3, pixel[1] >> 3, pixel[2] >> 3]
            pixel += 3
