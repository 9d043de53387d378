"""The paper's own numbers, in percent, as far as its text states them (CIFAR-10, 2,000 epochs, one seed).

Figures 9 and 10 give more as drawings; what is only drawn there is not guessed at here.
"""

# Section 4.5, Figure 10: every test sample at every exit at the end of training, by exit.
SEM_EDGE = {2: 72.65, 3: 77.76, 6: 88.92, 7: 90.98}
SEM_CLOUD = {7: 92.10}
MEM_EDGE = {2: 64.59, 4: 76.06}
MEM_CLOUD = 88.58

# Sections 4.2 and 4.3, T = 0.3, by the exit that is active.
THRESHOLD = 0.3
SEM_OVERALL = {3: 86.04, 8: 92.04}  # the worst and the best of eight
MEM_OVERALL = {2: 84.31, 8: 86.10}  # the same
SEM_8_EXITED = 9_139  # of 10,000
SEM_8_CLOUD_ACCURACY = 58.07  # over the 861 others

# Average multiply-adds a sample, in millions, and accuracy: L2W-DEN (arXiv 2209.08310) on MSDNet, budgeted, CIFAR-10.
BUDGETED = ((18.0, 94.0), (21.0, 94.5), (30.0, 94.75))
BUDGETED_NAME = "L2W-DEN on MSDNet (published)"
