"""What every room uses: errors, checks of arguments, random numbers, files that are whole or not there."""
