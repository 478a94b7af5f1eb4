import { describeSeeds } from './seeds.js';

describeSeeds('second');
