# Masks as the input says.
package system.log

mask contains rule if some rule in input.input.mask
