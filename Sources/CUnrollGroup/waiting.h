// Records that a call waits for the other ranks.
#pragma once

void begin_waiting(void);
void end_waiting(void);
