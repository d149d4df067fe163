# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Denoises FOLDER/noisy.png with OpenCV's non-local means and writes FOLDER/opencv.png.

Of the strengths h = 5, 10 ... 30 the one nearest to FOLDER/clean.png is kept. Prints: version threads h seconds.
"""

import sys
import time

import cv2

folder = sys.argv[1]
noisy = cv2.imread(folder + "/noisy.png")
clean = cv2.imread(folder + "/clean.png")

best = None
for h in range(5, 31, 5):
    start = time.perf_counter()
    result = cv2.fastNlMeansDenoisingColored(noisy, None, h, h, 7, 21)
    seconds = time.perf_counter() - start
    psnr = cv2.PSNR(result, clean)
    if best is None or psnr > best[0]:
        best = (psnr, h, seconds, result)

cv2.imwrite(folder + "/opencv.png", best[3])
print(cv2.__version__, cv2.getNumThreads(), best[1], best[2])
