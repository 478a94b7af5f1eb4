import { describeSeeds } from './seeds.js';

describeSeeds('first');
